"""How do the logarithms of a fit become coefficients with names such as `efficiency.dense`?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from calibration.robust_fit import Vector


def as_coefficients(names: Iterable[str], logarithms: Vector) -> dict[str, Any]:
    """One table for each group of names; each value is an array with one element per row.

    `logarithms` has the parameters along its last axis.
    """
    nested: dict[str, Any] = {}
    for index, name in enumerate(names):
        *groups, member = name.split(".")
        table = nested
        for group in groups:
            table = table.setdefault(group, {})
        table[member] = np.exp(logarithms[..., index, None])
    return nested


def as_numbers(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same with plain numbers."""
    return {
        name: as_numbers(value) if isinstance(value, Mapping) else float(np.asarray(value).item())
        for name, value in values.items()
    }
