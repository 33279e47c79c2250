"""What a caller may decide about a measurement."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from feasibility.errors import UsageError
from feasibility.text import safe_text

Progress: TypeAlias = Callable[[int, int, str], None]
"""Called with the steps done, the steps in all, and what is being done now."""

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
    """Tells nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureOptions:
    """How a model is to be measured.

    Args:
        dims: Sizes of symbolic dims by name.
        input_files: .npy file per input name.
        inputs_archive: .npz file with one array per input.
        threads: Intra-op threads.
        warmup_count: Warm-up runs; None for "until steady".
        run_count: Latency samples; None for "until the median is known well enough".
        timeout_s: Seconds that one pass may take.
        provider: Execution provider, by its short or its full name.
        seed: Seed of the generated inputs.
    """

    dims: Mapping[str, int] = field(default_factory=dict)
    input_files: Mapping[str, Path] = field(default_factory=dict)
    inputs_archive: Path | None = None
    threads: int = 1
    warmup_count: int | None = None
    run_count: int | None = None
    timeout_s: float = DEFAULT_TIMEOUT_S
    provider: str = "cpu"
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuses a provider that does not exist before anything is read or run."""
        _ = self.provider_name

    @property
    def provider_name(self) -> str:
        """The provider's full name as the runtime knows it.

        Raises:
            UsageError: No provider is called so.
        """
        wanted = self.provider.lower()
        for short, full in PROVIDERS.items():
            if wanted in (short, full.lower()):
                return full
        raise UsageError(
            f"There is no execution provider {safe_text(self.provider)!r}",
            f"the providers are {', '.join(PROVIDERS)}",
            "the default is --provider cpu",
        )
