"""Why did the child fail? One error message for each way in which a child can end badly."""

from __future__ import annotations

import re
import signal
from typing import Final

from feasibility.errors import FeasibilityError, HostError, InputError, MeasurementError, ModelError
from feasibility.runners.child_process import ChildResult
from feasibility.runners.child_protocol import Failed
from feasibility.text import safe_text
from feasibility.units import format_bytes

_MESSAGE_LIMIT: Final = 400

# Text of the runtime in front of the sentence that matters.
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
        # Source positions of OpenVINO, the failed condition among them.
        r"^Exception from \S+:\d+:\s*",
        r"^Check '.*?' failed at \S+:\d+:\s*",
    )
)
_CUSTOM_OPERATOR_HINT: Final = (
    "feasibility does not load libraries that a model requests; export the model without custom "
    "operators, or move them into your own pre- and post-processing"
)
# Words of the child about a provider, and of the runtime when the libraries of a GPU fail.
_GPU_PROVIDERS: Final = ("CUDAExecutionProvider", "TensorrtExecutionProvider")
_NOT_IN_BUILD: Final = "is not part of this onnxruntime build"
_GPU_FAULT: Final = re.compile(
    r"CUDA failure \d+: (?P<cuda>[^;\n]+?) ?(?:;|$)|Please install TensorRT libraries"
)
_GPU_HINT: Final = (
    "check the driver with `nvidia-smi`, and install CUDA, cuDNN and TensorRT in the versions that "
    "this onnxruntime-gpu names in its documentation"
)
_NO_MEMORY_WORDS: Final = (
    "bad_alloc",
    "failed to allocate",
    "out of memory",
    "unable to allocate",
    "cannot allocate memory",
    "insufficient memory",
    "not enough memory",
)
_MORE_MEMORY_HINT: Final = (
    "free memory, make the inputs smaller with --dim, or measure on a larger machine"
)
_UNREGISTERED: Final = re.compile(
    r"(?P<domain>\S+?):(?P<operator>[\w.]+)\(-?\d+\) is not a registered function/op"
)
_NO_IMPORT: Final = re.compile(
    r'In Node, \(".*?", (?P<operator>\S+), "(?P<domain>\S+?)", .*No opset import for domain'
)
_RUNNING_NODE: Final = re.compile(
    r"while running (?P<op>\S+) node\. Name:'(?P<name>.*?)' Status Message: (?P<why>.*)", re.DOTALL
)

# The runtime's Python interface only makes maps of float.
_WRONG_TYPE: Final = re.compile(
    r"Unexpected input data type. "
    r"Actual: \(\((?P<actual>.*)\)\) , expected: \(\((?P<wanted>.*)\)\)$"
)
# Messages of the runtime, and why and hint to show instead.
_LOAD_RULES: Final = (
    (
        re.compile(
            r"only \*guarantees\* support .*?Opset (?P<found>\d+) is under development"
            r"(?:.*official support for domain (?P<domain>\S+) is till opset (?P<newest>\d+))?"
        ),
        "it uses operator set {found} of {domain}; this version of ONNX Runtime supports at most "
        "{newest}",
        "export it with an older operator set, or install a newer onnxruntime",
    ),
    (
        re.compile(r"(?:Unsupported|unsupported) model IR version: (?P<found>\d+), max supported"),
        "its IR version {found} is newer than this version of ONNX Runtime supports",
        "install a newer onnxruntime, or save it with an older IR version",
    ),
    (
        re.compile(r"Failed to construct locale with name:\s*(?P<found>[\w.\-]+)"),
        "it needs the locale {found}, which this machine does not have",
        "generate the locale, on Debian: apt-get install locales && locale-gen {found}",
    ),
    (
        re.compile(
            r"(?:No Op registered for|not a registered function/op).*?(?P<found>[\w.]+) with"
        ),
        "the operator {found} does not exist in the operator set of the model",
        "check the name of the operator and the operator set of the export",
    ),
    (
        re.compile(r"No conversion rule found for operations: (?P<found>.+?)(?: -- |$)"),
        "it needs operators that OpenVINO does not have: {found}",
        "measure it with --engine onnxruntime, or export it without these operators",
    ),
)


def child_error(
    result: ChildResult, model_name: str, ceiling_bytes: int | None, engine: str
) -> FeasibilityError:
    """The error that says how the child ended, in which phase, and what to do."""
    failed = result.event(Failed)
    if failed is not None:
        return _reported_error(failed, model_name, ceiling_bytes, engine)
    doing = {"start": "start measuring", "load": "load", "run": "run"}.get(result.phase, "measure")
    what = f"Cannot {doing} {safe_text(model_name)!r}"
    if result.ending == "timeout":
        return ModelError(
            what,
            f"it did not finish within {result.timeout_s:g} s",
            "allow more time with --timeout SECONDS, or make the inputs smaller with --dim",
        )
    if result.signal_number is not None:
        return ModelError(what, *_signal_cause(result.signal_number, engine))
    return MeasurementError(
        what,
        f"the process ended with exit code {result.exit_code} and without a result"
        + _last_line(result),
        "run `feasibility doctor`",
    )


def run_failure(message: str) -> str:
    """Why a run failed, with the node if the runtime's message names it."""
    match = _RUNNING_NODE.search(message)
    if match is None:
        return cleaned(message)
    return f"node {safe_text(match['name'])!r} ({match['op']}) failed: {cleaned(match['why'])}"


def is_wrong_type(failed: Failed) -> bool:
    """Whether Python cannot give the runtime an input of the declared type."""
    return _WRONG_TYPE.search(failed.message) is not None


def is_out_of_memory(failed: Failed) -> bool:
    """Whether an allocation failed."""
    text = failed.message.lower()
    return failed.error_type == "MemoryError" or any(words in text for words in _NO_MEMORY_WORDS)


def _reported_error(
    failed: Failed, model_name: str, ceiling: int | None, engine: str
) -> FeasibilityError:
    """The error for a child that reported why it failed."""
    name = repr(safe_text(model_name))
    if failed.error_type == "ProviderUnavailable":
        return HostError(
            "Cannot use the execution provider", failed.message, _provider_hint(failed)
        )
    if failed.phase == "import":
        return HostError(
            f"Cannot start {engine}",
            cleaned(failed.message),
            "install its package and numpy again, with the Python that measures",
        )
    if is_out_of_memory(failed):
        free = f"the {format_bytes(ceiling)} that are free" if ceiling else "is free"
        return ModelError(
            f"Cannot {'load' if failed.phase == 'load' else 'run'} {name}",
            f"it needs more memory than {free}",
            _MORE_MEMORY_HINT,
        )
    gpu_fault = _GPU_FAULT.search(failed.message)
    if gpu_fault:
        return HostError(
            "Cannot use the execution provider",
            f"CUDA reports: {safe_text(gpu_fault['cuda'])}"
            if gpu_fault["cuda"]
            else "the libraries of TensorRT are missing, or they do not support this GPU",
            _GPU_HINT,
        )
    if failed.phase == "load":
        return ModelError(f"{engine} refuses to load {name}", *_load_cause(failed.message))
    if failed.phase == "inputs":
        return InputError(
            f"Cannot make the input {safe_text(failed.input_name or '')!r} of {name}",
            cleaned(failed.message),
            "give it as a file: --input NAME=FILE.npy",
        )
    wrong = _WRONG_TYPE.search(failed.message)
    if wrong:
        return ModelError(
            f"{name} loads, but Python cannot make its inputs",
            f"it needs {safe_text(wrong['wanted'])}, but ONNX Runtime's Python interface only "
            f"makes {safe_text(wrong['actual'])}",
            "measure it without this input, or use ONNX Runtime's C or C++ interface",
        )
    return ModelError(
        f"{name} loads, but does not run",
        run_failure(failed.message),
        "give other sizes or inputs: --dim NAME=VALUE, --input NAME=FILE.npy",
    )


def _provider_hint(failed: Failed) -> str:
    """How to get a provider that is missing or cannot be used."""
    available = f"available: {', '.join(failed.available_providers)}"
    if not failed.message.startswith(_GPU_PROVIDERS):
        return f"{available}; install an onnxruntime package that contains it"
    if _NOT_IN_BUILD in failed.message:
        return f"{available}; install onnxruntime-gpu instead of onnxruntime"
    return _GPU_HINT


def _load_cause(message: str) -> tuple[str, str]:
    """Why the runtime refused the model, and what to do."""
    unregistered = _UNREGISTERED.search(message) or _NO_IMPORT.search(message)
    if unregistered:
        return (
            f"it needs the operator {safe_text(unregistered['operator'])} of the domain "
            f"{safe_text(unregistered['domain'])}, which ONNX Runtime does not have",
            _CUSTOM_OPERATOR_HINT,
        )
    flat = " ".join(message.split())
    for pattern, why, hint in _LOAD_RULES:
        match = pattern.search(flat)
        if match:
            found = {name: safe_text(text or "unknown") for name, text in match.groupdict().items()}
            return why.format_map(found), hint.format_map(found)
    return cleaned(message), "check it with `feasibility inspect`, or export it again"


def _signal_cause(number: int, engine: str) -> tuple[str, str]:
    """Why a process usually receives this signal, and what to do."""
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    if number == signal.SIGKILL:
        return (
            "the process was killed (SIGKILL), probably because memory ran out",
            _MORE_MEMORY_HINT,
        )
    if number in (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE):
        return (
            f"{engine} crashed ({name}) on this model",
            f"try another version of {engine}, and report the crash to its developers",
        )
    return f"the process was ended by {name}", "run it again"


def _last_line(result: ChildResult) -> str:
    lines = [line for line in result.stderr_tail.splitlines() if line.strip()]
    return f": {safe_text(lines[-1], _MESSAGE_LIMIT)}" if lines else ""


def cleaned(message: str) -> str:
    """The message of the runtime without source positions, codes and the model's path."""
    text, longer = message, ""
    while text != longer:
        longer = text
        for pattern in _PREAMBLES:
            text = pattern.sub("", text, count=1).lstrip() or text
    return safe_text(" ".join(text.split()), _MESSAGE_LIMIT).rstrip(".")
