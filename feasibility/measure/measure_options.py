"""Which options does a measurement have?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from feasibility.errors import UsageError
from feasibility.text import safe_text

if TYPE_CHECKING:
    from feasibility.records.workload import EngineName, RuntimeSettings

Progress: TypeAlias = Callable[[int, int, str], None]
"""Called with the number of finished steps, the number of all steps, and the current step."""

ProgressOf: TypeAlias = Callable[[str], AbstractContextManager[Progress]]
"""Returns the progress display for a subject, for example the name of a model."""

DEFAULT_TIMEOUT_S: Final = 60.0

PROVIDERS: Final = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "xnnpack": "XnnpackExecutionProvider",
    "dnnl": "DnnlExecutionProvider",
    "qnn": "QNNExecutionProvider",
    "nnapi": "NnapiExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "dml": "DmlExecutionProvider",
    "rocm": "ROCMExecutionProvider",
    "migraphx": "MIGraphXExecutionProvider",
    "acl": "ACLExecutionProvider",
    "webgpu": "WebGpuExecutionProvider",
}


def no_progress(done: int, total: int, doing: str) -> None:
    """Shows nothing."""


@contextmanager
def no_progress_of(_subject: str) -> Iterator[Progress]:
    """Shows nothing about any subject."""
    yield no_progress


def _own_settings() -> RuntimeSettings:
    # Imported here, because the help of commands imports this module.
    from feasibility.records.workload import RuntimeSettings

    return RuntimeSettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureOptions:
    """How to measure a model.

    `recipe` names how the model was changed, `settings` say how the runtime is set up for it.
    `timeout_s` is for one pass. Without a number of warm-up runs, the child runs until the latency
    settles; without a number of runs, until the median is known well. Without an engine, it is the
    usual one for the format of the file.
    """

    dims: Mapping[str, int] = field(default_factory=dict)
    input_files: Mapping[str, Path] = field(default_factory=dict)
    inputs_archive: Path | None = None
    threads: int = 1
    warmup_count: int | None = None
    run_count: int | None = None
    timeout_s: float = DEFAULT_TIMEOUT_S
    provider: str = "cpu"
    engine: EngineName | None = None
    seed: int = 0
    recipe: str = "as-is"
    settings: RuntimeSettings = field(default_factory=_own_settings)

    def __post_init__(self) -> None:
        """Refuses an unknown provider, or one of another engine, before the model is read."""
        provider = self.provider_name
        if self.engine not in (None, "onnxruntime") and provider != PROVIDERS["cpu"]:
            raise UsageError(
                f"Cannot use --provider {safe_text(self.provider)} with {self.engine}",
                "execution providers are parts of ONNX Runtime",
                "leave out --provider, or measure with --engine onnxruntime",
            )

    @property
    def provider_name(self) -> str:
        """The full name of the provider, whose short or full name was given."""
        wanted = self.provider.lower()
        for short, full in PROVIDERS.items():
            if wanted in (short, full.lower()):
                return full
        raise UsageError(
            f"Unknown execution provider {safe_text(self.provider)!r}",
            f"the providers are {', '.join(PROVIDERS)}",
            "the default is --provider cpu",
        )
