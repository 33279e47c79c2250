"""The numbers that projections of memory rest on, each with its origin.

Those of latency are fitted; they are in `coefficients.toml` beside this file.
"""

from __future__ import annotations

from typing import Final

from feasibility.units import MIB

# Memory that was measured on one instruction set and carried over to the other: share of what
# is likely that the interval reaches down and up to (docs/memory-model.md has the coverage).
CARRIED_LOW_RATIO: Final = 0.90
CARRIED_HIGH_RATIO: Final = 1.07
# The same for memory that the graph alone tells, and for graphs that are not known.
GRAPH_LOW_RATIO: Final = 0.88
GRAPH_HIGH_RATIO: Final = 1.17
UNKNOWN_LOW_RATIO: Final = 0.64
UNKNOWN_HIGH_RATIO: Final = 1.10
# Tensors of open shape are missing in the model of the graph.
OPEN_SHAPES_RATIO: Final = 2.0
# With glibc's defaults up to 1.46 times what stays with a fixed threshold stayed on aarch64 for 14
# of 16 models, 1.9 times for the furthest.
GLIBC_RETAINED_RATIO: Final = 1.50
DEFAULT_RANGE_RATIO: Final = 1.02

# GPU memory. The runtime's arena grows in powers of two, so it may hold twice what is in use.
GPU_CONTEXT_LOW_RATIO: Final = 0.75
GPU_CONTEXT_HIGH_RATIO: Final = 1.5
GPU_ARENA_LIKELY_RATIO: Final = 1.3
GPU_ARENA_HIGH_RATIO: Final = 2.0
GPU_CONTEXT_BYTES: Final = 400 * MIB
