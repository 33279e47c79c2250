"""How far are the outputs of a model from those of a reference, for the same inputs?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from feasibility.errors import ChangeError
from feasibility.records.drift import Drift, OutputDrift
from feasibility.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
    Outputs: TypeAlias = Mapping[str, Array]
    Pair: TypeAlias = tuple[Array, Array]

_WHAT: Final = "Cannot compare the outputs with those of the reference"
_TEXT_KINDS: Final = frozenset("OSU")
_HINT: Final = "give other inputs, or models with the same outputs"


def drift_between(reference: Sequence[Outputs], outputs: Sequence[Outputs]) -> Drift:
    """The drift over several inputs; both sequences have the same order of inputs.

    Values that are not finite count as equal where they are the same in both.

    Raises:
        ChangeError: As `comparable_pairs`.
    """
    both = list(zip(reference, outputs, strict=True))
    samples = [comparable_pairs(before, after) for before, after in both]
    names = list(reference[0]) if reference else []
    found = tuple(_output_drift(name, [pairs[name] for pairs in samples]) for name in names)
    return Drift(
        sample_count=len(samples),
        is_identical=bool(names)
        and all(
            before[name].dtype == after[name].dtype
            and before[name].tobytes() == after[name].tobytes()
            for before, after in both
            for name in names
        ),
        relative_ratio=max((each.relative_ratio for each in found), default=0.0),
        outputs=found,
    )


def require_comparable(reference: Sequence[Outputs]) -> None:
    """Fails if equal outputs would say nothing about a changed model.

    Raises:
        ChangeError: The outputs of the reference hold no finite number and no text.
    """
    import numpy as np

    arrays = [array for outputs in reference for array in outputs.values()]
    if not any(array.dtype.kind in _TEXT_KINDS or np.isfinite(array).any() for array in arrays):
        why = "the reference has no output with a finite number or text for these inputs"
        raise ChangeError(_WHAT, why, _HINT)


def comparable_pairs(reference: Outputs, outputs: Outputs) -> dict[str, Pair]:
    """Each output of the reference and of the model, as numbers that are finite in both.

    Raises:
        ChangeError: Only one of them has an output, or shapes differ; or an element is not finite
            in one of them, or is another one of NaN and the infinities.
    """
    lone = reference.keys() ^ outputs.keys()
    if lone:
        name = min(lone)
        where = "missing" if name in reference else "not one of the reference"
        raise ChangeError(_WHAT, f"the output '{safe_text(name)}' is {where}", _HINT)
    return {name: _finite_pair(name, reference[name], outputs[name]) for name in reference}


def relative_ratio(pairs: Sequence[Pair]) -> float:
    """Largest difference of two elements, divided by the largest element of the reference.

    Infinite if outputs differ and those of the reference are zero or text.
    """
    import numpy as np

    scale = max((_largest(first) for first, _ in pairs), default=0.0)
    if not scale:
        return math.inf if any(_largest(second) for _, second in pairs) else 0.0
    with np.errstate(over="ignore"):
        return max(_largest(first / scale - second / scale) for first, second in pairs)


def _finite_pair(name: str, first: Array, second: Array) -> Pair:
    import numpy as np

    if first.shape != second.shape:
        shapes = f"the shape {list(second.shape)} in place of {list(first.shape)}"
        raise ChangeError(_WHAT, f"the output '{safe_text(name)}' has {shapes}", _HINT)
    if {first.dtype.kind, second.dtype.kind} & _TEXT_KINDS:
        # Text is equal or not.
        return np.zeros(first.shape), (first != second).astype(np.float64)
    wide = np.complex128 if "c" in {first.dtype.kind, second.dtype.kind} else np.float64
    first, second = first.astype(wide), second.astype(wide)
    is_odd = ~(np.isfinite(first) & np.isfinite(second))
    if not np.array_equal(first[is_odd], second[is_odd], equal_nan=True):
        why = "differs from the reference in elements that are not finite (NaN or infinity)"
        raise ChangeError(_WHAT, f"the output '{safe_text(name)}' {why}", _HINT)
    return np.where(is_odd, 0, first), np.where(is_odd, 0, second)


def _output_drift(name: str, pairs: Sequence[Pair]) -> OutputDrift:
    import numpy as np

    highest_float = float(np.finfo(np.float64).max)
    with np.errstate(over="ignore"):
        differences = [np.minimum(np.abs(first - second), highest_float) for first, second in pairs]
        total = sum(float(np.sum(each)) for each in differences)
    count = sum(each.size for each in differences)
    cosines = [each for each in (_cosine(*pair) for pair in pairs) if each is not None]
    ratio = relative_ratio(pairs)
    is_of_zeros = not any(_largest(first) for first, _ in pairs)
    return OutputDrift(
        name=name,
        max_difference=max(map(_largest, differences), default=0.0),
        mean_difference=min(total, highest_float) / count if count else 0.0,
        # Of zeros, no share can be given.
        relative_ratio=min(ratio, 1.0 if is_of_zeros else highest_float),
        cosine=min(cosines, default=None),
        top1_ratio=_top1_ratio(pairs),
    )


def _largest(array: Array) -> float:
    """The largest absolute value; 0 if there is none."""
    import numpy as np

    return float(np.max(np.abs(array), initial=0))


def _cosine(first: Array, second: Array) -> float | None:
    """Cosine of the angle between two outputs; None for zeros."""
    import numpy as np

    # In units of the largest element, so that squares neither overflow nor vanish.
    scales = _largest(first), _largest(second)
    if not all(scales):
        return None
    a, b = (each.ravel() / scale for each, scale in zip((first, second), scales, strict=True))
    cosine = np.vdot(a, b).real / (np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.clip(cosine, -1, 1))


def _top1_ratio(pairs: Sequence[Pair]) -> float | None:
    """Share of rows with the same largest element; None if outputs are no rows of classes."""
    import numpy as np

    rows = same = 0
    for first, second in pairs:
        # Text became zeros, which have no largest element.
        if first.ndim < 2 or first.shape[-1] < 2 or first.dtype.kind == "c" or not first.any():
            return None
        # Where the reference has several largest elements, each of them is right.
        chosen = np.take_along_axis(first, second.argmax(-1)[..., None], -1)[..., 0]
        same += int(np.count_nonzero(chosen == first.max(-1)))
        rows += chosen.size
    return same / rows if rows else None
