"""The numbers that projections of latency and memory rest on, each with its origin.

The CPU figures start from a least-squares fit, on the logarithm with a robust loss, to 531
published latencies of 29 phones, boards and computers (ncnn, Paddle-Lite, TNN, bolt, XNNPACK
and MNN tables, convolutional networks). Then they were set by hand for ONNX Runtime: dense
convolution lower, because it has no Winograd kernels; depthwise a little lower; the cost per
node lower, because ONNX counts more and smaller nodes; the gain from threads lower, because the
fit was too hopeful for the Raspberry Pis. Classes that those tables do not contain (matrix
products, attention, recurrent, quantised, the small ones) are judgements. docs/scoring.md
states the error found, and for what it was found.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from feasibility.records.facts import OperatorClass
from feasibility.units import MIB


class CoreFamily(NamedTuple):
    """How well cores of one make use their peak.

    Attributes:
        peak_share: Correction of the class efficiencies below; above 1 where the published
            FLOP per cycle is less than what the core sustains elsewhere in the family.
        thread_share: What each further core adds, as a share of its own rate.
    """

    peak_share: float
    thread_share: float


IN_ORDER: Final = CoreFamily(peak_share=0.80, thread_share=0.35)
NARROW: Final = CoreFamily(peak_share=1.25, thread_share=0.45)
BIG: Final = CoreFamily(peak_share=1.26, thread_share=0.65)
# Four vector units on paper; tables and peak benchmarks alike see little more than half.
WIDE: Final = CoreFamily(peak_share=0.62, thread_share=0.42)
# No published row is of such a core: between the wide phone cores and the N2 servers seen.
WIDE_SERVER: Final = CoreFamily(peak_share=0.90, thread_share=0.70)
APPLE: Final = CoreFamily(peak_share=1.20, thread_share=0.50)
SSE: Final = CoreFamily(peak_share=0.90, thread_share=0.70)
AVX2: Final = CoreFamily(peak_share=1.19, thread_share=0.60)
AVX512: Final = CoreFamily(peak_share=1.27, thread_share=0.50)

CORE_FAMILIES: Final[dict[str, CoreFamily]] = {
    **dict.fromkeys(("cortex-a53", "cortex-a55", "cortex-a510", "cortex-a520"), IN_ORDER),
    **dict.fromkeys(("cortex-a57", "cortex-a72", "cortex-a73", "cortex-a75"), NARROW),
    **dict.fromkeys(
        ("cortex-a76", "cortex-a77", "cortex-a78", "cortex-a78ae", "cortex-a710", "cortex-a715"),
        BIG,
    ),
    **dict.fromkeys(("cortex-a720", "neoverse-n1", "neoverse-n2"), BIG),
    **dict.fromkeys(("cortex-x1", "cortex-x2", "cortex-x3", "cortex-x4"), WIDE),
    **dict.fromkeys(("neoverse-v1", "neoverse-v2"), WIDE_SERVER),
    **dict.fromkeys(
        ("firestorm", "icestorm", "avalanche", "blizzard", "apple-a17-p", "apple-a17-e"), APPLE
    ),
    "tremont": SSE,
    **dict.fromkeys(("broadwell", "haswell", "zen-2", "zen-3", "gracemont"), AVX2),
    **dict.fromkeys(("skylake-sp", "ice-lake-sp", "sapphire-rapids", "zen-4", "zen-5"), AVX512),
}
UNKNOWN_CORE: Final = {"aarch64": NARROW, "x86_64": AVX2}

# Share of a core's peak that each class of operator reaches before the family's correction.
CLASS_EFFICIENCY: Final[dict[OperatorClass, float]] = {
    "conv": 0.60,
    "pointwise_conv": 0.56,
    "depthwise_conv": 0.22,
    "matmul": 0.58,
    "attention": 0.45,
    "recurrent": 0.30,
    "quantization": 0.40,
    "normalization": 0.10,
    "elementwise": 0.10,
    "reduction": 0.10,
    "lookup": 0.10,
    "data_movement": 0.10,
    "tree": 0.02,
    "control_flow": 0.10,
    "other": 0.10,
}
# Integer dot products raise the rate of int8 products; published speed-ups over float range
# from none to 1.8, so this stays at the careful end.
INT8_DOT_FEATURES: Final = frozenset({"dotprod", "i8mm", "vnni"})
INT8_DOT_GAIN: Final = 1.5

# Share of the memory bus that one inference gets, and what is assumed where it is not known.
BANDWIDTH_SHARE: Final = 0.44
UNKNOWN_BANDWIDTH_BYTES_PER_S: Final = 8 * 10**9
# The runtime merges activations and normalisations into the operator before them, about half
# of what they would move.
MERGED_CLASSES: Final[frozenset[OperatorClass]] = frozenset({"normalization", "elementwise"})
MERGED_SHARE: Final = 0.5
# Dispatch of one node, in cycles of the fastest core.
NODE_CYCLES: Final = 10_000
# More cores than this hardly help one inference and are seldom given to it.
DEFAULT_MAX_THREADS: Final = 4

# GPU figures, set by eye to some 20 published rows (ONNX Runtime and TensorRT on T4, Jetson Orin).
GPU_EFFICIENCY: Final = 0.45
GPU_FP16_EFFICIENCY: Final = 0.25
GPU_BANDWIDTH_SHARE: Final = 0.70
GPU_LAUNCH_NS: Final = 10_000

# Half width of the 80 % interval, as a factor on both sides, for a device never measured. The
# CPU one was chosen on published rows with each device left out; the others are judgements.
CONFIDENCE: Final = 0.8
SPREAD_CPU: Final = 1.7
SPREAD_GPU: Final = 2.0
SPREAD_INT8: Final = 2.2
SPREAD_UNKNOWN_WORK: Final = 3.5

# A host of unknown make is taken to be a server core of its instruction set. Only a model that
# runs this many times slower than projected there says more about the model than the host.
HOST_FLOPS_PER_S: Final = {"x86_64": 110 * 10**9, "aarch64": 40 * 10**9}
HOST_CLOCK_HZ: Final = 3 * 10**9
HOST_BANDWIDTH_BYTES_PER_S: Final = 40 * 10**9
HOST_TOLERANCE: Final = 3.0

# Memory, measured with ONNX Runtime 1.31.1 on both instruction sets (docs/scoring.md).
ARM_LOAD_EXTRA_BYTES: Final = 12 * MIB
LOAD_LOW_RATIO: Final = 0.95
LOAD_HIGH_RATIO: Final = 1.06
INFERENCE_RATIO: Final = 1.02
INFERENCE_LOW_RATIO: Final = 0.97
INFERENCE_HIGH_RATIO: Final = 1.06
# glibc on aarch64 kept 20 % of a transformer's resident memory, nothing of a convolutional one's.
GLIBC_RETAINED_RATIO: Final = 1.20
DEFAULT_RANGE_RATIO: Final = 1.02

# GPU memory. The runtime's arena grows in powers of two, so it may hold twice what is in use.
GPU_CONTEXT_LOW_RATIO: Final = 0.75
GPU_CONTEXT_HIGH_RATIO: Final = 1.5
GPU_ARENA_LIKELY_RATIO: Final = 1.3
GPU_ARENA_HIGH_RATIO: Final = 2.0
GPU_CONTEXT_BYTES: Final = 400 * MIB
