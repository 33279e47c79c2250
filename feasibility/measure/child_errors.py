"""A child that did not finish, as an error that a person can act on."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass
from typing import Final

from feasibility.errors import FeasibilityError, HostError, InputError, MeasurementError, ModelError
from feasibility.runners.child_process import ChildResult
from feasibility.runners.child_protocol import Failed
from feasibility.text import safe_text
from feasibility.units import format_bytes

_MESSAGE_LIMIT: Final = 400

# What the runtime puts in front of the sentence that matters.
_PREAMBLES: Final = tuple(
    re.compile(pattern, re.DOTALL)
    for pattern in (
        r"^\[ONNXRuntimeError\] : \d+ : \w+ : ",
        r"^Load model from .*? failed:\s*",
        r"^Exception during initialization: ",
        # Source position and signature: /path/file.cc:12 void ns::Function(args)[ [with T = ...]]
        r"^/\S+\.(?:cc|h|cpp):\d+ .*?\)(?: const)?(?: \[with .*?\])?(?:::<lambda.*?>)? (?=[A-Z])",
        r"^Fatal error: ",
        r"^Type Error: ",
        r"^This is an invalid model\. ",
    )
)
_CUSTOM_OPERATOR_HINT: Final = (
    "no library is loaded because a model asks for it; export the model without custom operators, "
    "or move them into your own pre- and post-processing"
)
# What the child says of a provider, and what the runtime says where a GPU's libraries fail.
_GPU_PROVIDERS: Final = ("CUDAExecutionProvider", "TensorrtExecutionProvider")
_NOT_IN_BUILD: Final = "is not part of this onnxruntime build"
_GPU_FAULT: Final = re.compile(
    r"CUDA failure \d+: (?P<cuda>[^;\n]+?) ?(?:;|$)|Please install TensorRT libraries"
)
_GPU_HINT: Final = (
    "check the driver with `nvidia-smi`, and install CUDA, cuDNN and TensorRT in the versions that "
    "this onnxruntime-gpu names in its documentation"
)
_UNREGISTERED: Final = re.compile(r"(\S+?):([\w.]+)\((-?\d+)\) is not a registered function/op")
_NO_IMPORT: Final = re.compile(r'In Node, \("(.*?)", (\S+), "(\S+?)", .*No opset import for domain')
_RUNNING_NODE: Final = re.compile(
    r"while running (?P<op>\S+) node\. Name:'(?P<name>.*?)' Status Message: (?P<why>.*)", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class _Rule:
    """Words of the runtime, and what they mean for a user."""

    pattern: re.Pattern[str]
    why: str
    hint: str


# The runtime's Python interface makes maps of float only, whatever the model declares.
_WRONG_TYPE: Final = re.compile(
    r"Unexpected input data type. "
    r"Actual: \(\((?P<actual>.*)\)\) , expected: \(\((?P<wanted>.*)\)\)$"
)
_LOAD_RULES: Final = (
    _Rule(
        re.compile(r"only \*guarantees\* support .*?Opset (?P<found>\d+) is under development"),
        "it is stamped with operator set {found}, which this ONNX Runtime does not know",
        "export it again with an official operator set, or install a newer onnxruntime",
    ),
    _Rule(
        re.compile(r"(?:Unsupported|unsupported) model IR version: (?P<found>\d+), max supported"),
        "its IR version {found} is newer than this ONNX Runtime reads",
        "install a newer onnxruntime, or save it with an older IR version",
    ),
    _Rule(
        re.compile(r"Failed to construct locale with name:\s*(?P<found>[\w.\-]+)"),
        "it normalises text in the locale {found}, which this machine does not have",
        "generate the locale, on Debian: apt-get install locales && locale-gen {found}",
    ),
    _Rule(
        re.compile(
            r"(?:No Op registered for|not a registered function/op).*?(?P<found>[\w.]+) with"
        ),
        "the operator {found} does not exist in the operator set that the model names",
        "check the operator's name and the opset the model was exported for",
    ),
)


def explain(result: ChildResult, model_name: str, ceiling_bytes: int | None) -> FeasibilityError:
    """The error that says how the child ended, in which phase, and what to do about it."""
    failed = result.event(Failed)
    if failed is not None:
        return _explain_failed(failed, model_name, ceiling_bytes)
    doing = {"start": "start measuring", "load": "load", "run": "run"}.get(result.phase, "measure")
    what = f"Cannot {doing} {safe_text(model_name)!r}"
    if result.ending == "timeout":
        return ModelError(
            what,
            f"it was not done after {result.timeout_s:g} s and was ended",
            "give it more time with --timeout SECONDS, or make the inputs smaller with --dim",
        )
    if result.signal_number is not None:
        return ModelError(what, *_explain_signal(result.signal_number))
    return MeasurementError(
        what,
        f"the measuring process ended with code {result.exit_code} without a result"
        + _last_words(result),
        "run `feasibility doctor`",
    )


def running_node(message: str) -> tuple[str, str, str] | None:
    """Operator, node name and cause of a failed run, from the runtime's message."""
    match = _RUNNING_NODE.search(message)
    return (match["op"], match["name"], cleaned(match["why"])) if match else None


def is_wrong_type(failed: Failed) -> bool:
    """Whether the runtime could not take an input of the declared type from Python."""
    return _WRONG_TYPE.search(failed.message) is not None


def is_out_of_memory(failed: Failed) -> bool:
    """Whether an allocation failed, by the runtime's or by Python's words for it."""
    text = failed.message.lower()
    return (
        failed.error_type == "MemoryError"
        or "bad_alloc" in text
        or "failed to allocate memory" in text
        or "out of memory" in text
        or "unable to allocate" in text
    )


def _explain_failed(failed: Failed, model_name: str, ceiling: int | None) -> FeasibilityError:
    name = repr(safe_text(model_name))
    if failed.error_type == "ProviderUnavailable":
        return HostError(
            "Cannot use the execution provider", failed.message, _provider_hint(failed)
        )
    if failed.phase == "import":
        return HostError(
            "Cannot start ONNX Runtime", cleaned(failed.message), "reinstall onnxruntime and numpy"
        )
    if is_out_of_memory(failed):
        room = f"the {format_bytes(ceiling)} that are free here" if ceiling else "there is"
        return ModelError(
            f"Cannot {'load' if failed.phase == 'load' else 'run'} {name}",
            f"it needs more memory than {room}",
            "free memory, make the inputs smaller with --dim, or measure on a larger machine",
        )
    gpu_fault = _GPU_FAULT.search(failed.message)
    if gpu_fault:
        return HostError(
            "Cannot use the execution provider",
            f"CUDA says: {safe_text(gpu_fault['cuda'])}"
            if gpu_fault["cuda"]
            else "the libraries of TensorRT are missing here, or they do not know the GPU",
            _GPU_HINT,
        )
    if failed.phase == "load":
        return ModelError(f"ONNX Runtime refuses to load {name}", *_explain_load(failed.message))
    if failed.phase == "inputs":
        return InputError(
            f"Cannot make the input {safe_text(failed.input_name or '')!r} of {name}",
            cleaned(failed.message),
            "give it as a file: --input NAME=FILE.npy",
        )
    wrong = _WRONG_TYPE.search(failed.message)
    if wrong:
        return ModelError(
            f"{name} loads but cannot be fed from Python",
            f"it wants {safe_text(wrong['wanted'])}, and ONNX Runtime's Python interface only "
            f"makes {safe_text(wrong['actual'])}",
            "measure it without this input, or feed it from the runtime's C or C++ interface",
        )
    node = running_node(failed.message)
    why = f"node {safe_text(node[1])!r} ({node[0]}) failed: {node[2]}" if node else None
    return ModelError(
        f"{name} loads but does not run",
        why or cleaned(failed.message),
        "give it sizes and inputs that it accepts: --dim NAME=N, --input NAME=FILE.npy",
    )


def _provider_hint(failed: Failed) -> str:
    """What brings a provider that the build does not have, or that it has and cannot use."""
    available = f"available here: {', '.join(failed.available_providers)}"
    if not failed.message.startswith(_GPU_PROVIDERS):
        return f"{available}; install the onnxruntime package that brings it"
    if _NOT_IN_BUILD in failed.message:
        return f"{available}; install onnxruntime-gpu in place of onnxruntime"
    return _GPU_HINT


def _explain_load(message: str) -> tuple[str, str]:
    """Why the runtime refused the model, and what to do."""
    unregistered = _UNREGISTERED.search(message) or _NO_IMPORT.search(message)
    if unregistered:
        if unregistered.re is _UNREGISTERED:
            domain, operator = unregistered[1], unregistered[2]
        else:
            domain, operator = unregistered[3], unregistered[2]
        why = f"it needs the operator {safe_text(operator)} of the domain {safe_text(domain)}"
        return f"{why}, which this ONNX Runtime does not have", _CUSTOM_OPERATOR_HINT
    flat = " ".join(message.split())
    for rule in _LOAD_RULES:
        match = rule.pattern.search(flat)
        if match:
            found = safe_text(match["found"])
            return rule.why.format(found=found), rule.hint.format(found=found)
    return cleaned(message), "check it with `feasibility inspect`, or export it again"


def _explain_signal(number: int) -> tuple[str, str]:
    """Why a process may have received this signal, and what to do."""
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    if number == signal.SIGKILL:
        return (
            "its process was killed (SIGKILL), most likely because memory ran out",
            "free memory, make the inputs smaller with --dim, or measure on a larger machine",
        )
    if number in (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE):
        return (
            f"ONNX Runtime crashed ({name}); this model sets off a fault inside the runtime",
            "try another onnxruntime version, and report the model to its maintainers",
        )
    return f"its process was ended by {name}", "run it again"


def _last_words(result: ChildResult) -> str:
    lines = [line for line in result.stderr_tail.splitlines() if line.strip()]
    return f": {safe_text(lines[-1], _MESSAGE_LIMIT)}" if lines else ""


def cleaned(message: str) -> str:
    """The runtime's message without source positions, codes and the model's path."""
    text = message
    trimmed = True
    while trimmed:
        trimmed = False
        for pattern in _PREAMBLES:
            shorter = pattern.sub("", text, count=1).lstrip()
            if shorter and shorter != text:
                text, trimmed = shorter, True
    return safe_text(" ".join(text.split()), _MESSAGE_LIMIT).rstrip(".")
