"""How similar are the operators of two models?

A model is a point: its shares of each kind of work, and its activations, layers and weights per
operation. Models with similar operators are near each other.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Final

from feasibility.predict.latency.cpu_formula import FITTED_KINDS, Work

# Two architectures are about one unit apart.
_SHARE_UNIT: Final = 0.25
_LENGTH: Final = 1.0


def operator_point(work: Work) -> tuple[float, ...]:
    """The model as a point."""
    total = work.total
    shares = (work.operations.get(kind, 0.0) / total / _SHARE_UNIT for kind in FITTED_KINDS)
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
    """Similarity of two points: 1 for the same, near 0 for distant ones."""
    distance = sum((a - b) ** 2 for a, b in zip(left, right, strict=True))
    return math.exp(-distance / (2 * _LENGTH**2))


@functools.lru_cache(maxsize=64)
def similarities(
    point: tuple[float, ...], others: tuple[tuple[float, ...], ...]
) -> tuple[float, ...]:
    """Similarity to each of the others; cached, because one model meets many devices."""
    return tuple(similarity(point, other) for other in others)
