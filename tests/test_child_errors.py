"""Each way a child can end badly, as a message for a person."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from feasibility.errors import FeasibilityError, HostError, InputError, MeasurementError, ModelError
from feasibility.measure.child_errors import child_error, run_failure
from feasibility.runners.child_process import ChildResult
from feasibility.runners.child_protocol import Failed, Loaded, MemoryReading, Phase, Ready

READY = Ready(versions={}, modules=(), baseline=MemoryReading(1, 1, 0), peak_source="vmhwm")
LOADED = Loaded(load_ns=1, peak_bytes=1, memory=MemoryReading(1, 1, 0))


def ended(ending: str, *events: Any, **changes: Any) -> ChildResult:
    fields: dict[str, Any] = {
        "ending": ending,
        "events": events,
        "signal_number": None,
        "exit_code": 0,
        "stderr_tail": "",
        "wall_ns": 1,
        "timeout_s": 60.0,
    }
    return ChildResult(**(fields | changes))


def explained(result: ChildResult) -> FeasibilityError:
    return child_error(result, "m.onnx", 8 * 1024**3, "ONNX Runtime")


def load_error(message: str) -> FeasibilityError:
    return explained(ended("failed", READY, Failed("load", "Fail", message)))


def test_custom_operator_by_registration() -> None:
    """The operator and its domain are named, and no library is offered to be loaded."""
    error = load_error(
        "[ONNXRuntimeError] : 1 : FAIL : Load model from /tmp/a b.onnx failed:"
        "Fatal error: com.acme.secret:Foo(-1) is not a registered function/op"
    )
    assert "operator Foo of the domain com.acme.secret" in error.why
    assert "does not load libraries that a model requests" in error.hint


def test_custom_operator_by_missing_import() -> None:
    """The other wording of the runtime gives the same message."""
    error = load_error(
        "[ONNXRuntimeError] : 10 : INVALID_GRAPH : Load model from m.onnx failed:This is an "
        'invalid model. In Node, ("", CustomOpOne, "test.customop", -1) : ("a": tensor(float),) '
        "-> (\"b\",) , Error No opset import for domain 'test.customop'"
    )
    assert "operator CustomOpOne of the domain test.customop" in error.why


@pytest.mark.parametrize(
    ("message", "why", "hint"),
    [
        (
            "[ONNXRuntimeError] : 1 : FAIL : Load model from m.onnx failed:/onnxruntime_src/x.h:46 "
            "void f(const std::string&, int) ONNX Runtime only *guarantees* support for models "
            "stamped with official released onnx opset versions. Opset 99 is under development and "
            "support for this is limited. Current official support for domain ai.onnx.ml is till "
            "opset 5.",
            "it uses operator set 99 of ai.onnx.ml; this version of ONNX Runtime supports at "
            "most 5",
            "an older operator set",
        ),
        (
            "[ONNXRuntimeError] : 1 : FAIL : Load model from m.onnx failed:/onnxruntime_src/"
            "onnxruntime/core/graph/model.cc:181 onnxruntime::Model::Model(int) Unsupported "
            "model IR version: 99, max supported IR version: 13",
            "its IR version 99 is newer",
            "newer onnxruntime",
        ),
        (
            "[ONNXRuntimeError] : 1 : FAIL : Exception during initialization: /onnxruntime_src/"
            "a.cc:235 n::Locale(const std::string&)::<lambda()> Failed to construct locale with "
            "name:en_US.UTF-8:locale::facet name not valid",
            "needs the locale en_US.UTF-8",
            "locale-gen en_US.UTF-8",
        ),
        (
            "[ONNXRuntimeError] : 1 : FAIL : Load model from m.onnx failed:Type Error: Shape of "
            "initializer 498 does not match. {256} != {257}",
            "Shape of initializer 498 does not match",
            "feasibility inspect",
        ),
    ],
)
def test_refusals_of_the_runtime(message: str, why: str, hint: str) -> None:
    """Source positions, codes and paths of the runtime are gone; what matters stays."""
    error = load_error(message)
    assert isinstance(error, ModelError)
    assert error.what == "ONNX Runtime refuses to load 'm.onnx'"
    assert why in error.why
    assert "onnxruntime_src" not in error.why
    assert "ONNXRuntimeError" not in error.why
    assert hint in error.hint


def openvino_error(message: str, phase: Phase = "load") -> FeasibilityError:
    failed = ended("failed", READY, Failed(phase, "RuntimeError", message))
    return child_error(failed, "m.onnx", 8 * 1024**3, "OpenVINO")


_OPENVINO_POSITIONS = (
    "Exception from src/inference/src/cpp/core.cpp:132:\n"
    "Exception from src/inference/src/dev/plugin.cpp:59:\n"
)


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (
            "Check 'false' failed at src/frontends/common_translators/src/report.cpp:151:\n"
            "FrontEnd API failed with OpConversionFailure:\nModel wasn't fully converted. Summary:"
            "\n-- No conversion rule found for operations: com.acme.Foo, com.acme.Bar\n"
            "-- Conversion is failed for: com.acme.Baz\n",
            "it needs operators that OpenVINO does not have: com.acme.Foo, com.acme.Bar",
        ),
        (
            "Check 'shape.compatible(ov::PartialShape(tensor->get_shape()))' failed at "
            "src/plugins/intel_cpu/src/infer_request.cpp:385:\nCan't set the input tensor\n\n",
            "Can't set the input tensor",
        ),
    ],
)
def test_refusals_of_openvino(message: str, why: str) -> None:
    """Positions in its source and the failed conditions are gone."""
    error = openvino_error(_OPENVINO_POSITIONS + message)
    assert error.what == "OpenVINO refuses to load 'm.onnx'"
    assert error.why == why


def test_openvino_out_of_memory() -> None:
    """Its words for a failed allocation have the number of bytes in the middle."""
    error = openvino_error(
        _OPENVINO_POSITIONS
        + "Check 'ptr' failed at src/plugins/intel_cpu/src/cpu_memory.cpp:257:\n"
        "Failed to allocate 8589934588 bytes of memory\n",
        "run",
    )
    assert error.message == "Cannot run 'm.onnx': it needs more memory than the 8 GiB that are free"


def test_a_failed_run_names_the_node() -> None:
    """The node, its operator and the cause come out of the runtime's message."""
    message = (
        "[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Non-zero status code returned while running "
        "Concat node. Name:'/up/Concat' Status Message: /onnxruntime_src/c.cc:158 bool f(int) "
        "Non concat axis dimensions must match"
    )
    error = explained(ended("failed", READY, LOADED, Failed("run", "InvalidArgument", message)))
    assert error.message == (
        "'m.onnx' loads, but does not run: node '/up/Concat' (Concat) failed: "
        "Non concat axis dimensions must match"
    )
    assert run_failure("something else") == "something else"


def test_an_input_type_that_python_cannot_make() -> None:
    """Sizes are not to blame where the runtime's Python interface lacks a type."""
    message = (
        "[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Unexpected input data type. Actual: "
        "((map(int64,tensor(float)))) , expected: ((map(int64,tensor(double))))"
    )
    error = explained(ended("failed", READY, LOADED, Failed("run", "InvalidArgument", message)))
    assert error.what == "'m.onnx' loads, but Python cannot make its inputs"
    assert "it needs map(int64,tensor(double)), but" in error.why
    assert error.why.endswith("only makes map(int64,tensor(float))")


@pytest.mark.parametrize(
    "message",
    ["std::bad_alloc", "Failed to allocate memory for requested buffer of size 8", "Out of memory"],
)
def test_out_of_memory(message: str) -> None:
    """All wordings of a failed allocation say how much was free."""
    error = explained(ended("failed", READY, Failed("load", "RuntimeException", message)))
    assert (
        error.message == "Cannot load 'm.onnx': it needs more memory than the 8 GiB that are free"
    )


def test_python_out_of_memory() -> None:
    """Python's own MemoryError is one too."""
    error = explained(ended("failed", READY, LOADED, Failed("run", "MemoryError", "")))
    assert error.what == "Cannot run 'm.onnx'"


def test_unavailable_provider_lists_the_available() -> None:
    """What can be used here stands in the hint."""
    failed = Failed(
        "load",
        "ProviderUnavailable",
        "CUDAExecutionProvider is not part of this onnxruntime build",
        available_providers=("CPUExecutionProvider",),
    )
    error = explained(ended("failed", READY, failed))
    assert isinstance(error, HostError)
    assert "not part of this onnxruntime build" in error.why
    assert error.hint == (
        "available: CPUExecutionProvider; install onnxruntime-gpu instead of onnxruntime"
    )


def test_a_provider_without_its_hardware() -> None:
    """Another package would not bring it."""
    message = "CUDAExecutionProvider is in this build but did not register; its library or its "
    failed = Failed("load", "ProviderUnavailable", f"{message}hardware is missing here")
    error = explained(ended("failed", READY, failed))
    assert "did not register" in error.why
    assert "nvidia-smi" in error.hint


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (
            "/onnxruntime_src/x.cc:729 void RegisterTensorRTPluginsAsCustomOps() Please install "
            "TensorRT libraries as mentioned in the GPU requirements page, make sure they're in "
            "the PATH or LD_LIBRARY_PATH, and that your GPU is supported.",
            "the libraries of TensorRT are missing",
        ),
        (
            "/onnxruntime_src/cuda_call.cc:129 CUDA failure 100: no CUDA-capable device is "
            "detected ; GPU=-1 ; hostname=box ; file=x.cc ; line=282 ; expr=cudaSetDevice(0);",
            "CUDA reports: no CUDA-capable device is detected",
        ),
        (
            "CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version",
            "CUDA reports: CUDA driver version is insufficient for CUDA runtime version",
        ),
    ],
)
def test_a_gpu_that_cannot_be_used_is_no_fault_of_the_model(message: str, why: str) -> None:
    error = load_error(message)
    assert isinstance(error, HostError)
    assert error.what == "Cannot use the execution provider"
    assert error.why.startswith(why)
    assert "nvidia-smi" in error.hint


def test_missing_runtime() -> None:
    """A broken installation is the machine's fault, not the model's."""
    error = explained(ended("failed", Failed("import", "ImportError", "No module named 'numpy'")))
    assert isinstance(error, HostError)
    assert "install its package and numpy again" in error.hint


def test_unusable_input_file() -> None:
    """The input is named with the option that replaces it."""
    failed = Failed("inputs", "ValueError", "Cannot load file", input_name="ids")
    error = explained(ended("failed", READY, LOADED, failed))
    assert isinstance(error, InputError)
    assert "the input 'ids' of 'm.onnx'" in error.what


def test_timeout() -> None:
    """The limit and the option that raises it."""
    error = explained(ended("timeout", READY, LOADED, timeout_s=5.0))
    assert error.message == "Cannot run 'm.onnx': it did not finish within 5 s"
    assert "--timeout" in error.hint


@pytest.mark.parametrize(
    ("number", "why"),
    [
        (signal.SIGKILL, "was killed (SIGKILL), probably because memory ran out"),
        (signal.SIGSEGV, "ONNX Runtime crashed (SIGSEGV)"),
        (signal.SIGTERM, "was ended by SIGTERM"),
        (63, "was ended by signal 63"),
    ],
)
def test_signals(number: int, why: str) -> None:
    """A signal is explained by what usually sends it."""
    error = explained(ended("signal", READY, signal_number=int(number), exit_code=None))
    assert error.what == "Cannot load 'm.onnx'"
    assert why in error.why


def test_a_silent_end_quotes_the_last_words() -> None:
    """What the child printed last is often the reason."""
    error = explained(ended("silent", exit_code=7, stderr_tail="a\nundefined symbol\x1b[0m\n"))
    assert isinstance(error, MeasurementError)
    assert error.why.endswith(
        "ended with exit code 7 and without a result: undefined symbol\\x1b[0m"
    )


def test_hostile_names_are_escaped() -> None:
    """Names from the model cannot reach the terminal raw."""
    message = "while running A node. Name:'x\x1b[2J' Status Message: no\x07"
    error = explained(ended("failed", READY, LOADED, Failed("run", "Fail", message)))
    assert "\x1b" not in str(error)
    assert "\x07" not in str(error)
