"""How far do the outputs of two models differ for the same inputs?"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from feasibility.errors import MeasurementError

if TYPE_CHECKING:
    import numpy as np

Outputs: TypeAlias = "Mapping[str, np.ndarray[Any, Any]]"


def read_outputs(path: Path) -> Outputs:
    """The arrays that a child saved, by the position of the output."""
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as saved:
            return {name: saved[name] for name in saved.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise MeasurementError("Cannot compare outputs", f"they were not saved: {error}") from error


def drift_ratio(reference: Outputs, outputs: Outputs) -> float:
    """Largest difference of two elements, as a share of the reference's largest element.

    The worst output counts. Infinite if outputs differ in number or shape, or in a value that is
    not finite.
    """
    if outputs.keys() != reference.keys():
        return math.inf
    return max((_array_drift(reference[name], outputs[name]) for name in reference), default=0.0)


def _array_drift(reference: np.ndarray[Any, Any], output: np.ndarray[Any, Any]) -> float:
    import numpy as np

    if reference.shape != output.shape:
        return math.inf
    if reference.dtype.kind in "US" or output.dtype.kind in "US":
        return 0.0 if np.array_equal(reference, output) else math.inf
    before, after = reference.astype(np.float64), output.astype(np.float64)
    odd = ~(np.isfinite(before) & np.isfinite(after))
    if not np.array_equal(before[odd], after[odd], equal_nan=True):
        return math.inf
    difference = float(np.max(np.abs(before[~odd] - after[~odd]), initial=0.0))
    scale = float(np.max(np.abs(before[~odd]), initial=0.0))
    if difference == 0.0:
        return 0.0
    return difference / scale if scale else math.inf
