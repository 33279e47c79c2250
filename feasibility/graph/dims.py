"""Sizes for the dims that a model leaves open, by name and by the role of the input.

The same name always gets the same size. Each size that nobody gave is an
assumption with the option that overrides it. Where an assumed size cannot be
right (a layer's weight does not fit it), other likely sizes come first.
"""

from __future__ import annotations

import difflib
import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from feasibility.errors import InputError
from feasibility.graph.dim_names import Role, evaluate, operands, role_of
from feasibility.graph.dim_roles import OpenInput, dim_role, known_values, open_inputs
from feasibility.graph.shapes import type_graph
from feasibility.graph.types import ValueType
from feasibility.records.base import Assumption
from feasibility.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from onnx import ModelProto

    from feasibility.graph.typed_graph import TypedGraph

# Likely sizes per role, likeliest first. Pictures: the usual classifiers and detectors, then
# sizes that halve often; sound: a second at 16 kHz, the windows of voice detectors, longer.
_SIZES: Final[dict[Role, tuple[int, ...]]] = {
    "batch": (1, 1, 1, 1, 2),
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
_OTHER: Final = "the usual size does not fit this model; this one may"
# Work on finding a size that fits is bounded by nodes looked at, not by time, so that
# the choice is the same on every machine.
_MAX_NODES_TRIED: Final = 20_000
MAX_BINDINGS: Final = 8
_MAX_SIZE: Final = 2**62


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
class _OpenDim:
    """One open dim: its key, its role and the size that the model itself implies."""

    key: str
    role: Role
    implied_size: int | None = None
    reason: str = ""


def bind_dims(model: ModelProto, overrides: Mapping[str, int]) -> DimBinding:
    """The likeliest sizes for all open dims of a model.

    Args:
        model: The model.
        overrides: Sizes that the user gave, by the name of the dim.

    Raises:
        InputError: An override for a dim that the model does not have, or a negative size.
    """
    return next(likely_bindings(model, overrides))[0]


def bind_inputs(inputs: tuple[OpenInput, ...], dims: Mapping[str, int]) -> dict[str, ValueType]:
    """Types of the given inputs with their open dims bound."""
    types = {}
    for given in inputs:
        shape = tuple(
            size if key is None else dims.get(key)
            for size, key in zip(given.shape, given.keys, strict=True)
        )
        is_tensor = given.kind == "tensor"
        types[given.name] = ValueType(
            given.elem_type, shape, given.kind, None if is_tensor else given.type
        )
    return types


def typed(model: ModelProto, inputs: tuple[OpenInput, ...], binding: DimBinding) -> TypedGraph:
    """The graph with the types of all its values under one choice of sizes."""
    return type_graph(model, bind_inputs(inputs, binding.dims), known_values(inputs))


def likely_bindings(
    model: ModelProto, overrides: Mapping[str, int]
) -> Iterator[tuple[DimBinding, TypedGraph | None]]:
    """Complete choices of sizes, likeliest first, at most `MAX_BINDINGS`.

    The graph is that of the sizes where they had to be checked against the model, so that
    nobody need type it again. The first choice always has one.

    Raises:
        InputError: An override for a dim that the model does not have, or a negative size.
    """
    inputs = open_inputs(model)
    candidates = tuple(_candidates(_open_dims(inputs), overrides))
    fitting: list[tuple[DimBinding, TypedGraph | None]] = []
    others: list[tuple[DimBinding, TypedGraph | None]] = []
    tried_count = 0
    for binding in candidates:
        if fitting or tried_count > _MAX_NODES_TRIED:
            (fitting if fitting else others).append((binding, None))
            continue
        graph = typed(model, inputs, binding)
        tried_count += max(len(graph.nodes), 1)
        fits = not any(node.refusal for node in graph.all_nodes())
        (fitting if fits else others).append((binding, graph if fits or not others else None))
    if fitting and others:
        # The remaining sizes were never checked; those known not to fit go last.
        first = fitting[0]
        fitting[0] = (_explained(first[0], others[0][0]), first[1])
    yield from [*fitting, *others][:MAX_BINDINGS]


def unchecked_bindings(
    inputs: tuple[OpenInput, ...], overrides: Mapping[str, int]
) -> tuple[DimBinding, ...]:
    """Complete choices of sizes where there is no graph to check them against.

    Raises:
        InputError: An override for a dim that no input has, or a negative size.
    """
    return tuple(_candidates(_open_dims(inputs), overrides))[:MAX_BINDINGS]


def _explained(chosen: DimBinding, usual: DimBinding) -> DimBinding:
    """The binding with the sizes that differ from the usual ones marked as such."""
    assumptions = tuple(
        item
        if usual.dims.get(item.subject) == chosen.dims.get(item.subject)
        else _with_reason(item, _OTHER)
        for item in chosen.assumptions
    )
    return replace(chosen, assumptions=assumptions)


def _with_reason(item: Assumption, reason: str) -> Assumption:
    """The same assumption with another reason."""
    return Assumption(subject=item.subject, value=item.value, reason=reason, option=item.option)


def _open_dims(inputs: tuple[OpenInput, ...]) -> tuple[_OpenDim, ...]:
    """Open dims in order of appearance; of several uses of a name the telling one counts."""
    found: dict[str, _OpenDim] = {}
    for given in inputs:
        for axis, key in enumerate(given.keys):
            if key is None:
                continue
            role = dim_role(given, axis, inputs)
            size = given.implied.sizes.get(axis)
            reason = given.implied.reasons.get(axis, "")
            known = found.get(key)
            if known is None:
                found[key] = _OpenDim(key, role, size, reason)
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
            found.setdefault(operand, _OpenDim(operand, role_of(operand)))
    return tuple(found.values())


def _candidates(dims: tuple[_OpenDim, ...], overrides: Mapping[str, int]) -> Iterator[DimBinding]:
    """Bindings in order of likelihood, without repetition."""
    _require_known(dims, overrides)
    roles = {dim.role for dim in dims if dim.implied_size is None and dim.key not in overrides}
    count = max((len(_SIZES[role]) for role in roles), default=1)
    seen: set[tuple[int, ...]] = set()
    for at in range(count):
        binding = _binding(dims, overrides, at)
        sizes = tuple(binding.dims.values())
        if sizes not in seen:
            seen.add(sizes)
            yield binding


def _binding(dims: tuple[_OpenDim, ...], overrides: Mapping[str, int], at: int) -> DimBinding:
    """The choice number `at`: every role takes its size of that rank."""
    sizes: dict[str, int] = {}
    assumptions: list[Assumption] = []
    derived = [dim for dim in dims if operands(dim.key)]
    for dim in (*(dim for dim in dims if dim not in derived), *derived):
        if dim.key in overrides:
            sizes[dim.key] = overrides[dim.key]
            continue
        size, reason = _size(dim, dims, sizes, at)
        sizes[dim.key] = size
        assumptions.append(dim_assumption(dim.key, size, reason))
    return DimBinding(sizes, tuple(assumptions))


def _size(
    dim: _OpenDim, dims: tuple[_OpenDim, ...], sizes: Mapping[str, int], at: int
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


def _require_known(dims: tuple[_OpenDim, ...], overrides: Mapping[str, int]) -> None:
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
        if size < 0:
            raise InputError(
                f"Cannot set the dim '{shown}' to {size}", "a size is never negative", ""
            )
