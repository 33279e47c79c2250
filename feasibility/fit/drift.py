"""How far are the outputs of a changed model from those of the original, for the same inputs?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from feasibility.errors import ChangeError
from feasibility.records.fit import Drift, OutputDrift
from feasibility.text import safe_text

if TYPE_CHECKING:
    import numpy as np

    Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

Outputs: TypeAlias = "Mapping[str, Array]"

_WHAT: Final = "Cannot compare the outputs with those of the original"
_OTHER_INPUTS: Final = "give other inputs with --samples"
_HINT: Final = "try another change, or keep the nodes before this output in float"


def drift_between(reference: Sequence[Outputs], changed: Sequence[Outputs]) -> Drift:
    """The drift of the changed model's outputs, which are in the order of the reference.

    Values that are not finite count as equal where they are the same in both.

    Raises:
        ChangeError: An output is missing, or has another shape; or it is not finite where that
            of the original is, or the other way round.
    """
    pairs = list(zip(reference, changed, strict=True))
    names = list(reference[0]) if reference else []
    outputs = tuple(
        _output_drift(name, [_arrays(name, before, after) for before, after in pairs])
        for name in names
    )
    return Drift(
        sample_count=len(pairs),
        is_identical=bool(names)
        and all(
            before[name].dtype == after[name].dtype
            and before[name].tobytes() == after[name].tobytes()
            for before, after in pairs
            for name in names
        ),
        relative_ratio=max((each.relative_ratio for each in outputs), default=0.0),
        outputs=outputs,
    )


def require_comparable(reference: Sequence[Outputs]) -> None:
    """Fails if a comparison with these outputs would say nothing about other arithmetic.

    Raises:
        ChangeError: They hold no number that is finite, and no text.
    """
    import numpy as np

    arrays = [array for outputs in reference for array in outputs.values()]
    if not any(array.dtype.kind in "OSU" or np.isfinite(array).any() for array in arrays):
        raise ChangeError(
            _WHAT, "all outputs of the original are NaN or infinite for these inputs", _OTHER_INPUTS
        )


def _arrays(name: str, before: Outputs, after: Outputs) -> tuple[Array, Array]:
    """One output of both models, as far as it is finite in both."""
    import numpy as np

    if name not in after:
        raise ChangeError(_WHAT, f"the output '{safe_text(name)}' is missing", _HINT)
    pair = before[name], after[name]
    if pair[0].shape != pair[1].shape:
        shapes = " in place of ".join(str(list(each.shape)) for each in reversed(pair))
        raise ChangeError(_WHAT, f"the output '{safe_text(name)}' has the shape {shapes}", _HINT)
    if pair[0].dtype.kind in "OSU":
        # Text is equal or not.
        return np.zeros(pair[0].shape), (pair[0] != pair[1]).astype(np.float64)
    wide = np.complex128 if "c" in {each.dtype.kind for each in pair} else np.float64
    first, second = (each.astype(wide) for each in pair)
    is_odd = ~(np.isfinite(first) & np.isfinite(second))
    if not np.array_equal(first[is_odd], second[is_odd], equal_nan=True):
        raise ChangeError(
            _WHAT,
            f"the output '{safe_text(name)}' and that of the original are not finite in the same "
            "elements",
            _HINT,
        )
    return np.where(is_odd, 0, first), np.where(is_odd, 0, second)


def _output_drift(name: str, pairs: Sequence[tuple[Array, Array]]) -> OutputDrift:
    import numpy as np

    largest = float(np.finfo(np.float64).max)
    with np.errstate(over="ignore"):
        differences = [np.minimum(np.abs(first - second), largest) for first, second in pairs]
        total = sum(float(np.sum(each)) for each in differences)
    count = sum(each.size for each in differences)
    highest = max((float(np.max(each, initial=0)) for each in differences), default=0.0)
    scale = max((float(np.max(np.abs(first), initial=0)) for first, _ in pairs), default=0.0)
    cosines = [each for each in (_cosine(*pair) for pair in pairs) if each is not None]
    return OutputDrift(
        name=name,
        max_difference=highest,
        mean_difference=min(total, largest) / count if count else 0.0,
        # Of zeros, no share can be given.
        relative_ratio=min(highest / scale, largest) if scale else float(highest > 0),
        cosine=min(cosines, default=None),
        top1_ratio=_top1_ratio(pairs),
    )


def _cosine(first: Array, second: Array) -> float | None:
    """Cosine of the angle between two outputs; None for zeros."""
    import numpy as np

    # In units of the largest element, so that squares neither overflow nor vanish.
    scales = [float(np.max(np.abs(each), initial=0)) for each in (first, second)]
    if not all(scales):
        return None
    a, b = (each.ravel() / scale for each, scale in zip((first, second), scales, strict=True))
    cosine = np.vdot(a, b).real / (np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.clip(cosine, -1, 1))


def _top1_ratio(pairs: Sequence[tuple[Array, Array]]) -> float | None:
    """Share of rows with the same largest element; None if outputs are no rows of classes."""
    import numpy as np

    rows = same = 0
    for first, second in pairs:
        if first.ndim < 2 or first.shape[-1] < 2 or first.dtype.kind == "c":
            return None
        # Where the original has several largest elements, each of them is right.
        chosen = np.take_along_axis(first, second.argmax(-1)[..., None], -1)[..., 0]
        same += int(np.count_nonzero(chosen == first.max(-1)))
        rows += chosen.size
    return same / rows if rows else None
