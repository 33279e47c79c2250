"""With which values are generated inputs filled?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from onnx import TensorProto

from feasibility.graph.inputs.accepted_values import Accepted
from feasibility.graph.inputs.dim_roles import RATE_NAME, SAMPLE_RATE, OpenInput
from feasibility.graph.value_types import ValueType
from feasibility.records.workload import Fill

_MASK: Final = re.compile(r"mask", re.I)
_LENGTH: Final = re.compile(r"len(gth)?s?$|_len(gth)?s?[_.]|seqlens?", re.I)
_POSITION: Final = re.compile(r"position|pos_ids", re.I)
_STEP: Final = re.compile(r"time_?steps?$|^t$", re.I)
_TOKENS: Final = re.compile(r"ids$|tokens?$|(^|_)text$", re.I)
_TYPES: Final = re.compile(r"token_type|segment", re.I)
_SMALLEST: Final[dict[int, int]] = {TensorProto.INT8: -128, TensorProto.UINT8: 0}
# Bounds of what a Fill can say: doubles hold every whole number up to here.
_MAX_EXACT: Final = 2**53


@dataclass(frozen=True, slots=True)
class Choice:
    """A fill, and whether it is a guess.

    Args:
        is_guess: True if only a name suggested the values, or nothing, so that others may be
            needed.
    """

    fill: Fill
    is_guess: bool = False


def choose_fill(
    given: OpenInput, shape: tuple[int, ...], accepted: Accepted | None, length: int
) -> Choice:
    """Elements that a model is likely to accept for one input.

    `accepted` is None where the graph accepts everything; `length` is the size of the longest
    text or sound that is fed.
    """
    name = given.name
    if given.elem_type in (TensorProto.STRING, 0):
        return Choice(Fill(kind="constant", low=0, high=0))
    if given.elem_type == TensorProto.BOOL:
        return Choice(Fill(kind="constant", low=1, high=1, reason="true throughout"))
    if ValueType(given.elem_type).is_integer:
        return _integers(given, shape, accepted, length)
    if accepted is not None and accepted.low == accepted.high and abs(accepted.low) < 2**31:
        return _span(accepted.low, accepted.low, accepted.reason)
    if _MASK.search(name) and "input" not in name.lower():
        return _ALL_SEEN
    if _LENGTH.search(name) and len(shape) <= 1:
        return _span(1, 1, "a length as a share of the whole", is_guess=True)
    if RATE_NAME.search(name):
        return _SAMPLED
    if _STEP.search(name) and len(shape) <= 1:
        return _STEP_ONE
    return Choice(Fill(kind="uniform", low=0.0, high=1.0))


def _integers(
    given: OpenInput, shape: tuple[int, ...], accepted: Accepted | None, length: int
) -> Choice:
    name = given.name
    if accepted is not None and accepted.of_dims:
        return _span(accepted.low, accepted.low, accepted.reason)
    if accepted is None and _MASK.search(name):
        return _ALL_SEEN
    if RATE_NAME.search(name):
        return _SAMPLED
    if accepted is not None:
        low, high = accepted.low, accepted.high
        if _POSITION.search(name):
            high = max(min(high, length - 1), low)
        return _span(low, high, accepted.reason)
    if _LENGTH.search(name) and len(shape) <= 1:
        return _span(length, length, "the length of what is fed", is_guess=True)
    if _POSITION.search(name):
        return _span(0, length - 1, "positions in what is fed", is_guess=True)
    if given.elem_type in _SMALLEST:
        low = _SMALLEST[given.elem_type]
        return _span(low, low + 255, "every value of the type")
    if _STEP.search(name):
        return _STEP_ONE
    if _TYPES.search(name):
        return _span(0, 0, "one segment")
    if _TOKENS.search(name):
        return _span(0, 99, "identifiers that most vocabularies have", is_guess=True)
    return _span(0, 9, "the model does not say which values it takes", is_guess=True)


def cautious_choice(fill: Fill) -> Choice:
    """The fill to try where the likely values make the model fail."""
    low = 1 if fill.low >= 1 else 0
    return _span(low, low, "the likelier values made the model fail")


def _span(low: int, high: int, reason: str, *, is_guess: bool = False) -> Choice:
    """Integers in a span; one number throughout if its ends are equal."""
    first = max(min(low, _MAX_EXACT), -_MAX_EXACT)
    last = max(min(high, _MAX_EXACT), first)
    fill = Fill(
        kind="constant" if low == high else "integers",
        low=float(first),
        high=float(last),
        reason=reason,
    )
    return Choice(fill, is_guess)


_ALL_SEEN: Final = _span(1, 1, "a mask that hides nothing")
_SAMPLED: Final = _span(SAMPLE_RATE, SAMPLE_RATE, "sound at 16 kHz")
_STEP_ONE: Final = _span(1, 1, "a step of a schedule")
