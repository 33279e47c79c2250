"""How long does one inference take on a GPU? Start, launches, operations and bytes, added up.

    seconds = start + layers x launch
            + operations / share of the peak
            + bytes / share of the memory's bandwidth

The same function serves the projection of one model (floats) and the fit to all published rows
(numpy arrays).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from msgspec import Struct

from feasibility.predict.latency.cpu_cores import COMPUTERS, UNKNOWN_BANDWIDTH_BYTES_PER_S
from feasibility.predict.latency.cpu_formula import Work
from feasibility.records.device import Device

# Kinds of runtimes by how they start kernels. `delegate`: OpenCL and OpenGL on phones.
GPU_RUNTIMES: Final = ("cuda", "tensorrt", "vulkan", "delegate")
GPU_LAUNCH_NS: Final = 10_000
_MATRIX_KINDS: Final = ("matmul", "attention")
_NS: Final = 10**9


class GpuCoefficients(Struct, frozen=True):
    """The fitted coefficients; all positive.

    Attributes:
        share: Share of the peak that products reach, by kind of runtime.
        launch_ratio: Launches of one layer, in those of the device file, by kind of runtime.
        half_share: Share of the fp16 peak that counts, relative to that of the fp32 peak.
        vulkan_matrix_ratio: Rate of matrix products relative to convolutions through Vulkan,
            whose kernels for them are simple.
        bandwidth_share: Share of the memory's bandwidth.
        small_launch_ratio: Time of a launch on a board or phone relative to its device file,
            because their processors are slower.
        vulkan_start_ns: Time of an empty inference through Vulkan. Its published times include
            the copies to the GPU and back.
    """

    share: Mapping[str, float]
    launch_ratio: Mapping[str, float]
    half_share: float
    vulkan_matrix_ratio: float
    bandwidth_share: float
    small_launch_ratio: float
    vulkan_start_ns: float


class GpuPeaks(NamedTuple):
    """The peaks of a GPU from its device file, for one arithmetic.

    Attributes:
        fp32_per_s: Operations per second in fp32; in fp16 if only that is known.
        fp16_per_s: Operations per second in fp16, 0 if the arithmetic is fp32.
        is_small: 1 for boards and phones, else 0.
    """

    fp32_per_s: float
    fp16_per_s: float
    bytes_per_s: float
    launch_ns: float
    element_bytes: float
    is_small: float


class Interface(NamedTuple):
    """Coefficients of one kind of runtime."""

    share: float
    launch_ratio: float
    matrix_ratio: float
    start_ns: float


def gpu_runtime(text: str) -> str:
    """Kind of the runtime, by its name as published."""
    low = text.lower()
    if "tensorrt" in low:
        return "tensorrt"
    if "ncnn" in low or "vulkan" in low:
        return "vulkan"
    return "delegate" if any(name in low for name in ("opencl", "tflite", "litert")) else "cuda"


def interface(runtime: str, k: GpuCoefficients) -> Interface:
    """Coefficients of one of `GPU_RUNTIMES`."""
    is_vulkan = runtime == "vulkan"
    return Interface(
        share=k.share[runtime],
        launch_ratio=k.launch_ratio[runtime],
        matrix_ratio=k.vulkan_matrix_ratio if is_vulkan else 1.0,
        start_ns=k.vulkan_start_ns if is_vulkan else 0.0,
    )


def peaks_of(device: Device, *, is_half: bool) -> GpuPeaks | None:
    """The peaks of the device's GPU; None if its device file does not state its speed."""
    gpu = device.gpu
    if gpu is None:
        return None
    fp32, fp16 = gpu.fp32_flops_per_s, gpu.fp16_flops_per_s
    slow = fp32 or (fp16 if is_half else None)
    if slow is None:
        return None
    bandwidth = gpu.bandwidth_bytes_per_s
    if bandwidth is None and device.memory is not None:
        bandwidth = device.memory.bandwidth_bytes_per_s
    return GpuPeaks(
        fp32_per_s=slow.value,
        fp16_per_s=0.0 if not is_half else (fp16 or slow).value,
        bytes_per_s=bandwidth.value if bandwidth else UNKNOWN_BANDWIDTH_BYTES_PER_S,
        launch_ns=gpu.launch_ns.value if gpu.launch_ns else GPU_LAUNCH_NS,
        element_bytes=2 if is_half else 4,
        is_small=0.0 if device.kind in COMPUTERS else 1.0,
    )


def gpu_seconds(work: Work, peaks: GpuPeaks, one: Interface, k: GpuCoefficients) -> float:
    """Seconds of one inference.

    Small models reach a small share of a GPU's peak, because launches take most of their time.
    """
    matrix = sum(work.operations.get(kind, 0.0) for kind in _MATRIX_KINDS)
    operations = work.total - matrix + matrix / one.matrix_ratio
    rate = one.share * _larger(peaks.fp32_per_s, k.half_share * peaks.fp16_per_s)
    moved = work.activation_count + work.weight_count + work.vector_weight_count
    small = 1.0 + (k.small_launch_ratio - 1.0) * peaks.is_small
    launch_ns = peaks.launch_ns * one.launch_ratio * small
    return (
        operations / rate
        + moved * peaks.element_bytes / (peaks.bytes_per_s * k.bandwidth_share)
        + (one.start_ns + work.layer_count * launch_ns) / _NS
    )


def _larger(left: float, right: float) -> float:
    """The larger of two numbers, or of each pair of two arrays."""
    return (left + right + abs(left - right)) / 2
