"""Likely sizes for open dims, one complete choice after the other."""

from __future__ import annotations

import difflib
import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from feasibility.errors import InputError
from feasibility.graph.inputs.dim_names import Role, evaluate, operands, role_of
from feasibility.graph.inputs.dim_roles import OpenInput, dim_role
from feasibility.graph.value_types import LARGEST
from feasibility.records.base import Assumption
from feasibility.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Likely sizes per role, likeliest first. Pictures: the usual classifiers and detectors, then
# sizes that halve often; sound: a second at 16 kHz, the windows of voice detectors, longer.
_SIZES: Final[dict[Role, tuple[int, ...]]] = {
    "batch": (1, 1, 1, 1, 2, 1),
    "sequence": (128, 16, 1, 8, 32, 512, 2, 4, 64, 7, 256),
    "past": (16, 8, 1, 0, 32, 128, 2, 4, 64, 7, 256),
    "total": (144, 24, 2, 8, 64, 512),
    "height": (224, 256, 640, 512, 320, 64, 32, 28, 299, 416, 96, 128, 192, 384, 112, 160, 227, 48),
    "width": (224, 256, 640, 512, 320, 64, 32, 28, 299, 416, 96, 128, 192, 384, 112, 160, 227, 320),
    "depth": (16, 32, 64, 128, 8, 224, 96),
    "channels": (3, 1, 4, 2, 16, 64),
    "samples": (16000, 512, 576, 1280, 8000, 48000, 400, 1024, 32000, 160000, 1536, 480000),
    "frames": (100, 128, 256, 3000, 1000, 500, 76, 16, 64, 200, 400),
    "mel": (80, 64, 128, 40, 96, 257, 161, 512, 32),
    "items": (16, 1, 8, 4, 100, 1000, 2),
    "features": (64, 1, 2, 4, 3, 16, 128, 256, 512, 768),
    "generic": (1, 2, 4, 3, 16, 8, 64, 128, 512),
}
_REASONS: Final[dict[Role, str]] = {
    "batch": "one sample at a time",
    "sequence": "a usual length of text in tokens",
    "past": "a short history in the cache",
    "total": "the history and the new tokens together",
    "height": "a usual height of pictures",
    "width": "a usual width of pictures",
    "depth": "a small volume",
    "channels": "colour pictures have three channels",
    "samples": "one second of sound at 16 kHz",
    "frames": "about one second of sound in frames of 10 ms",
    "mel": "a usual number of mel bands",
    "items": "a small number of them",
    "features": "nothing in the model tells this width",
    "generic": "nothing in the model tells this size",
}
_SOLVED: Final = "worked out from a weight that takes this size only"
_MAX_SIZE: Final = 2**62

# Roles whose size one may change to make a model fit, and the largest
# size that is worth trying.
_ELASTIC: Final[dict[Role, int]] = {
    "height": 4096,
    "width": 4096,
    "depth": 512,
    "samples": 1_000_000,
    "frames": 10_000,
    "sequence": 4096,
    "features": 65_536,
    "generic": 65_536,
}


@dataclass(frozen=True, slots=True)
class DimBinding:
    """Sizes for all open dims of a model.

    Args:
        dims: Size by symbolic name, or by `input.axis` for a dim without one.
        assumptions: Which of them were assumed, and why.
    """

    dims: dict[str, int]
    assumptions: tuple[Assumption, ...]


@dataclass(frozen=True, slots=True)
class OpenDim:
    """One open dim: its key, its role and the size that the model itself implies."""

    key: str
    role: Role
    implied_size: int | None = None
    reason: str = ""


def open_dims(inputs: tuple[OpenInput, ...]) -> tuple[OpenDim, ...]:
    """Open dims in order of appearance; of several uses of a name the telling one counts."""
    found: dict[str, OpenDim] = {}
    for given in inputs:
        for axis, key in enumerate(given.keys):
            if key is None:
                continue
            role = dim_role(given, axis, inputs)
            size = given.implied.sizes.get(axis)
            reason = given.implied.reasons.get(axis, "")
            known = found.get(key)
            if known is None:
                found[key] = OpenDim(key, role, size, reason)
            elif known.implied_size is None and size is not None:
                found[key] = replace(known, implied_size=size, reason=reason)
            elif known.role in ("generic", "features") or (known.role, role) == (
                "past",
                "sequence",
            ):
                found[key] = replace(known, role=role)
    for key in tuple(found):
        for operand in operands(key):
            # `past_length + sequence_length`: its parts can be given, and are assumed, alone.
            found.setdefault(operand, OpenDim(operand, role_of(operand)))
    return tuple(found.values())


def candidates(dims: tuple[OpenDim, ...], overrides: Mapping[str, int]) -> Iterator[DimBinding]:
    """Bindings in order of likelihood, without repetition."""
    require_known(dims, overrides)
    roles = {dim.role for dim in dims if dim.implied_size is None and dim.key not in overrides}
    count = max((len(_SIZES[role]) for role in roles), default=1)
    seen: set[tuple[int, ...]] = set()
    for at in range(count):
        binding = binding_of(dims, overrides, at)
        sizes = tuple(binding.dims.values())
        if sizes not in seen:
            seen.add(sizes)
            yield binding


def binding_of(
    dims: tuple[OpenDim, ...],
    overrides: Mapping[str, int],
    at: int,
    solved: Mapping[str, int] | None = None,
) -> DimBinding:
    """The choice number `at`: every role takes its size of that rank.

    Args:
        dims: The open dims.
        overrides: Sizes that the user gave.
        at: Which of the likely sizes.
        solved: Sizes that were worked out from the model; they go before likely ones.
    """
    sizes: dict[str, int] = {}
    assumptions: dict[str, Assumption] = {}
    # Sums come last, when what they are made of has its size.
    for dim in sorted(dims, key=lambda dim: 2 if operands(dim.key) else dim.role == "total"):
        if dim.key in overrides:
            sizes[dim.key] = overrides[dim.key]
            continue
        if solved is not None and dim.key in solved:
            size, reason = solved[dim.key], _SOLVED
        else:
            size, reason = _size(dim, dims, sizes, at)
        sizes[dim.key] = size
        assumptions[dim.key] = dim_assumption(dim.key, size, reason)
    return DimBinding(
        {dim.key: sizes[dim.key] for dim in dims},
        tuple(assumptions[dim.key] for dim in dims if dim.key in assumptions),
    )


def scaled(
    dims: tuple[OpenDim, ...],
    overrides: Mapping[str, int],
    binding: DimBinding,
    have: int,
    want: int,
) -> tuple[DimBinding, ...]:
    """Bindings whose elastic dims are changed so that what was `have` becomes about `want`.

    Sizes in the middle of a model follow those of its inputs in proportion, a flattened
    picture with the square of its side.
    """
    elastic = [
        dim
        for dim in dims
        if dim.role in _ELASTIC
        and dim.implied_size is None
        and dim.key not in overrides
        and not operands(dim.key)
        and binding.dims[dim.key] > 0
    ]
    found = []
    ratio = want / have
    powers = (0.5, 1.0) if any(dim.role == "height" for dim in elastic) else (1.0,)
    for power in powers:
        solved = {dim.key: round(binding.dims[dim.key] * ratio**power) for dim in elastic}
        if elastic and all(0 < solved[dim.key] <= _ELASTIC[dim.role] for dim in elastic):
            found.append(binding_of(dims, overrides, 0, solved))
    return tuple(found)


def _size(
    dim: OpenDim, dims: tuple[OpenDim, ...], sizes: Mapping[str, int], at: int
) -> tuple[int, str]:
    if dim.implied_size is not None:
        return dim.implied_size, dim.reason
    if operands(dim.key):
        value = evaluate(dim.key, sizes.get)
        if value is not None and 0 <= value < _MAX_SIZE:
            return value, "its name says so"
    if dim.role == "total":
        parts = [
            next((sizes[item.key] for item in dims if item.role == role and item.key in sizes), 0)
            for role in ("past", "sequence")
        ]
        if any(parts):
            return sum(parts), _REASONS["total"]
    choices = _SIZES[dim.role]
    reason = _REASONS[dim.role] if at == 0 else f"another likely size ({_REASONS[dim.role]})"
    return choices[min(at, len(choices) - 1)], reason


def dim_assumption(key: str, size: int, reason: str) -> Assumption:
    """The record of a size that was assumed."""
    return Assumption(
        subject=key,
        value=str(size),
        reason=reason,
        option=f"--dim {shlex.quote(f'{key}=N')}",
    )


def require_known(dims: tuple[OpenDim, ...], overrides: Mapping[str, int]) -> None:
    """Refuses sizes for dims that do not exist.

    Raises:
        InputError: Naming the dims that there are.
    """
    known = [dim.key for dim in dims]
    for key, size in overrides.items():
        shown = safe_text(key, 60)
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            names = ", ".join(safe_text(name, 40) for name in known[:20])
            raise InputError(
                f"Cannot set the dim '{shown}'",
                f"the model's open dims are {names}" if known else "the model has no open dims",
                f"did you mean --dim {shlex.quote(safe_text(close[0], 60))}={size}?"
                if close
                else "run `feasibility inspect` on the model to see its inputs",
            )
        if not 0 <= size <= LARGEST:
            reason = "a size is never negative" if size < 0 else "no tensor is that large"
            raise InputError(
                f"Cannot set the dim '{shown}' to {size}", reason, "give a size from 0 up"
            )
