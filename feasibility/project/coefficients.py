"""The numbers that projections of memory rest on, each with its origin.

Those of latency are fitted; they are in `fitted.toml` beside this file.
"""

from __future__ import annotations

from typing import Final

from feasibility.units import KIB, MIB

# Memory, measured with ONNX Runtime 1.31.1 on both instruction sets (docs/scoring.md).
ARM_FIXED_BYTES: Final = 7 * MIB
ARM_NODE_BYTES: Final = 10 * KIB
LOAD_LOW_RATIO: Final = 0.94
LOAD_HIGH_RATIO: Final = 1.07
INFERENCE_RATIO: Final = 0.98
INFERENCE_LOW_RATIO: Final = 0.94
INFERENCE_LOW_THIN_RATIO: Final = 0.64
INFERENCE_HIGH_RATIO: Final = 1.08
# glibc on aarch64 kept 20 % of a transformer's resident memory, nothing of a convolutional one's.
GLIBC_RETAINED_RATIO: Final = 1.20
DEFAULT_RANGE_RATIO: Final = 1.02

# GPU memory. The runtime's arena grows in powers of two, so it may hold twice what is in use.
GPU_CONTEXT_LOW_RATIO: Final = 0.75
GPU_CONTEXT_HIGH_RATIO: Final = 1.5
GPU_ARENA_LIKELY_RATIO: Final = 1.3
GPU_ARENA_HIGH_RATIO: Final = 2.0
GPU_CONTEXT_BYTES: Final = 400 * MIB
