"""Which options does a measurement have?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from feasibility.errors import UsageError
from feasibility.text import safe_text

Progress: TypeAlias = Callable[[int, int, str], None]
"""Called with the number of finished steps, the number of all steps, and the current step."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureOptions:
    """How to measure a model.

    Args:
        dims: Sizes of symbolic dims by name.
        input_files: .npy file per input name.
        inputs_archive: .npz file with one array per input.
        threads: Intra-op threads.
        warmup_count: Warm-up runs; None for as many as the latency needs to settle.
        run_count: Latency samples; None for as many as the median needs.
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
        """Refuses an unknown provider before the model is read."""
        _ = self.provider_name

    @property
    def provider_name(self) -> str:
        """The provider's full name as the runtime knows it.

        Raises:
            UsageError: The provider is unknown.
        """
        wanted = self.provider.lower()
        for short, full in PROVIDERS.items():
            if wanted in (short, full.lower()):
                return full
        raise UsageError(
            f"Unknown execution provider {safe_text(self.provider)!r}",
            f"the providers are {', '.join(PROVIDERS)}",
            "the default is --provider cpu",
        )
