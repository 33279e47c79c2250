"""How is ONNX Runtime used in the child? Its session, its instruments and its version."""

from __future__ import annotations

import contextlib
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any


class ProviderUnavailable(Exception):  # noqa: N818 - it names what was found
    """An execution provider that cannot be used; another one must not replace it silently."""

    def __init__(self, message: str, available: list[str]) -> None:
        super().__init__(message)
        self.available = available


def create_session(onnxruntime: ModuleType, request: dict[str, Any]) -> Any:
    """The session, with the requested provider only."""
    provider = request["provider"]
    available = onnxruntime.get_available_providers()
    if provider not in available:
        raise ProviderUnavailable(provider + " is not part of this onnxruntime build", available)
    if provider in ("CUDAExecutionProvider", "TensorrtExecutionProvider"):
        # Finds CUDA in Python packages; older runtimes do not have this function.
        getattr(onnxruntime, "preload_dlls", lambda: None)()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = request["threads"]
    options.inter_op_num_threads = 1
    # Without a log only errors, because printing warnings would add to the load time.
    options.log_severity_level = 1 if request.get("log_path") else 3
    options.enable_cpu_mem_arena = request.get("arena", True)
    options.enable_mem_pattern = request.get("memory_pattern", True)
    if not request.get("optimize", True):
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    for key, value in request.get("session_config", {}).items():
        options.add_session_config_entry(key, value)
    if request.get("profile_prefix"):
        options.enable_profiling = True
        options.profile_file_prefix = request["profile_prefix"]
    session = onnxruntime.InferenceSession(
        request["model_path"], options, providers=[provider], enable_fallback=False
    )
    if provider not in session.get_providers():
        raise ProviderUnavailable(
            provider + " is in this build but did not register; its library or its hardware "
            "is missing here",
            session.get_providers(),
        )
    return session


def bind_run(session: Any, feeds: dict[str, Any]) -> Callable[[], list[Any]]:
    """A function without arguments that runs the model once and returns its outputs."""
    if any(type(value).__name__ == "OrtValue" for value in feeds.values()):
        names = [output.name for output in session.get_outputs()]
        return lambda: session.run_with_ort_values(names, feeds)
    return lambda: session.run(None, feeds)


def save_outputs(numpy: ModuleType, outputs: list[Any], path: str) -> None:
    """Writes outputs that are arrays of numbers or text to a .npz file, by position."""
    arrays = {}
    for position, output in enumerate(outputs):
        value = output.numpy() if type(output).__name__ == "OrtValue" else output
        if isinstance(value, numpy.ndarray):
            arrays[str(position)] = value.astype(str) if value.dtype == object else value
    numpy.savez(path, **arrays)


def capture(memray: ModuleType | None, request: dict[str, Any], phase: str) -> Any:
    """Memray during one phase; nothing if memray is None."""
    if memray is None:
        return contextlib.nullcontext()
    path = request["capture_prefix"] + phase + ".bin"
    return memray.Tracker(destination=memray.FileDestination(path, overwrite=True))


def log_to(path: str | None) -> None:
    """Sends the output of libraries to a file from now on; None changes nothing."""
    if path is not None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(descriptor, 2)
        os.close(descriptor)


def disturb_heap() -> list[bytes]:
    """Blocks of random number and size, to keep during the measurement.

    The memory that glibc retains depends on other blocks on the heap. Identical children
    would show only some of the amounts that an application can get.
    """
    return [bytes(int.from_bytes(os.urandom(2), "little")) for _ in range(os.urandom(1)[0] % 64)]


def library_versions(onnxruntime: ModuleType, numpy: ModuleType) -> dict[str, str]:
    """Versions of everything that affects the figures."""
    import platform

    return {
        "python": platform.python_version(),
        "onnxruntime": onnxruntime.__version__,
        "numpy": numpy.__version__,
        "libc": " ".join(platform.libc_ver()).strip(),
        "arch": platform.machine(),
        "kernel": platform.system() + " " + platform.release(),
    }
