"""The mix of operators as a point, so that models with a like mix are near each other."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Final

from feasibility.predict.latency.cpu_formula import Work

# Scaled so that one unit is about what tells two architectures apart.
_SHARE_UNIT: Final = 0.25
_LENGTH: Final = 1.0
_SHARES: Final = ("winograd", "dense", "pointwise", "depthwise", "grouped", "vector")
MIX_FEATURES: Final = (*_SHARES, "activations", "layers", "weights")


def mix_features(work: Work) -> tuple[float, ...]:
    """Where the model lies among others: shares of work, and what it does per operation."""
    total = work.total
    shares = (work.operations.get(kind, 0.0) / total / _SHARE_UNIT for kind in _SHARES)
    ratios = (
        work.activation_count / total,
        work.layer_count / total * 1e6,
        work.weight_count / total,
    )
    return (
        *(round(share, 4) for share in shares),
        *(round(math.log(max(ratio, 1e-6)), 4) for ratio in ratios),
    )


def similarity(left: Sequence[float], right: Sequence[float]) -> float:
    """How like two mixes are: 1 for the same, 0 for far ones."""
    distance = sum((a - b) ** 2 for a, b in zip(left, right, strict=True))
    return math.exp(-distance / (2 * _LENGTH**2))


@functools.lru_cache(maxsize=64)
def similarities(
    point: tuple[float, ...], mixes: tuple[tuple[float, ...], ...]
) -> tuple[float, ...]:
    """How like each of the mixes one point is; kept, because one model meets many devices."""
    return tuple(similarity(point, mix) for mix in mixes)
