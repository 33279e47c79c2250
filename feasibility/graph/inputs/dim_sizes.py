"""Which sizes do open dims get? Complete choices, the likeliest first.

The same name always gets the same size. Each size that the user did not give is an assumption
with the option that sets it. Sizes with which a node of the graph cannot run go last.
"""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from msgspec import structs
from onnx import ModelProto

from feasibility.errors import InputError
from feasibility.graph.inputs.dim_roles import OpenInput, dim_role, known_values
from feasibility.graph.inputs.role_of_dim_name import Role, evaluate, operands, role_of
from feasibility.graph.shapes.type_graph import type_graph
from feasibility.graph.typed_graph import TypedGraph
from feasibility.graph.value_types import LARGEST, ValueType
from feasibility.records.shared_fields import Assumption
from feasibility.records.workload import InputPlan
from feasibility.text import safe_text

MAX_BINDINGS: Final = 8
# Looking for sizes that fit ends after this many nodes. Time would depend on the machine.
_MAX_NODES_TRIED: Final = 20_000
_MAX_SIZE: Final = 2**62

# Likely sizes per role, likeliest first. Pictures: the usual classifiers and detectors, then
# sizes that halve often; sound: a second at 16 kHz, the windows of voice detectors, longer.
_SIDES: Final = (224, 256, 640, 512, 320, 64, 32, 28, 299, 416, 96, 128, 192, 384, 112, 160, 227)
_SIZES: Final[dict[Role, tuple[int, ...]]] = {
    "batch": (1, 1, 1, 1, 2, 1),
    "sequence": (128, 16, 1, 8, 32, 512, 2, 4, 64, 7, 256),
    "past": (16, 8, 1, 0, 32, 128, 2, 4, 64, 7, 256),
    "total": (144, 24, 2, 8, 64, 512),
    "height": (*_SIDES, 48),
    "width": (*_SIDES, 320),
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
    "features": "the model does not say how many",
    "generic": "the model does not say which size",
}
_OTHER: Final = "the usual size does not fit this model; this one may"


@dataclass(frozen=True, slots=True)
class OpenDim:
    """One open dim: its key, its role and the size that the model itself implies."""

    key: str
    role: Role
    implied_size: int | None = None
    reason: str = ""


# Sizes, as a plan without inputs yet, and the graph typed with them if it was checked.
Checked: TypeAlias = tuple[InputPlan, TypedGraph | None]


def likely_bindings(
    model: ModelProto, inputs: tuple[OpenInput, ...], overrides: Mapping[str, int]
) -> list[Checked]:
    """Complete choices of sizes, likeliest first, at most `MAX_BINDINGS`.

    Their plans have no inputs yet. The first always comes with the typed graph.
    """
    fitting: list[Checked] = []
    others: list[Checked] = []
    tried_count = 0
    for binding in candidates(open_dims(inputs), overrides):
        if fitting or tried_count > _MAX_NODES_TRIED:
            (fitting or others).append((binding, None))
            continue
        graph = typed(model, inputs, binding.dims)
        tried_count += max(len(graph.nodes), 1)
        if any(node.refusal for node in graph.all_nodes()):
            others.append((binding, None if others else graph))
        else:
            fitting.append((_explained(binding, others[0][0]) if others else binding, graph))
    return [*fitting, *others][:MAX_BINDINGS]


def bind_inputs(inputs: tuple[OpenInput, ...], dims: Mapping[str, int]) -> dict[str, ValueType]:
    """Types of the inputs with their open dims bound."""
    types = {}
    for given in inputs:
        shape = tuple(
            size if key is None else dims.get(key)
            for size, key in zip(given.shape, given.keys, strict=True)
        )
        container = None if given.kind == "tensor" else given.type
        types[given.name] = ValueType(given.elem_type, shape, given.kind, container)
    return types


def typed(model: ModelProto, inputs: tuple[OpenInput, ...], dims: Mapping[str, int]) -> TypedGraph:
    """The graph with the types of all its values under one choice of sizes."""
    return type_graph(model, bind_inputs(inputs, dims), known_values(inputs))


def open_dims(inputs: tuple[OpenInput, ...]) -> tuple[OpenDim, ...]:
    """Open dims in order of appearance; of several uses of a name the most specific counts."""
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


def candidates(dims: tuple[OpenDim, ...], overrides: Mapping[str, int]) -> Iterator[InputPlan]:
    """Choices, each once: all roles take their first sizes, then their second, ..."""
    _require_known(dims, overrides)
    roles = {dim.role for dim in dims if dim.implied_size is None and dim.key not in overrides}
    seen: set[tuple[int, ...]] = set()
    for rank in range(max((len(_SIZES[role]) for role in roles), default=1)):
        binding = _binding(dims, overrides, rank)
        sizes = tuple(binding.dims.values())
        if sizes not in seen:
            seen.add(sizes)
            yield binding


def _binding(dims: tuple[OpenDim, ...], overrides: Mapping[str, int], rank: int) -> InputPlan:
    sizes: dict[str, int] = {}
    assumptions: dict[str, Assumption] = {}
    # Sums come last, when their parts have sizes.
    for dim in sorted(dims, key=lambda dim: 2 if operands(dim.key) else dim.role == "total"):
        if dim.key in overrides:
            sizes[dim.key] = overrides[dim.key]
            continue
        size, reason = _size(dim, dims, sizes, rank)
        sizes[dim.key] = size
        option = f"--dim {shlex.quote(f'{dim.key}=N')}"
        assumptions[dim.key] = Assumption(
            subject=dim.key, value=str(size), reason=reason, option=option
        )
    return InputPlan(
        inputs=(),
        dims={dim.key: sizes[dim.key] for dim in dims},
        assumptions=tuple(assumptions[dim.key] for dim in dims if dim.key in assumptions),
    )


def _size(
    dim: OpenDim, dims: tuple[OpenDim, ...], sizes: Mapping[str, int], rank: int
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
    reason = _REASONS[dim.role] if rank == 0 else f"another likely size ({_REASONS[dim.role]})"
    return choices[min(rank, len(choices) - 1)], reason


def _explained(chosen: InputPlan, usual: InputPlan) -> InputPlan:
    """The choice, its assumptions saying where it differs from the usual sizes."""
    assumptions = tuple(
        item
        if usual.dims.get(item.subject) == chosen.dims.get(item.subject)
        else structs.replace(item, reason=_OTHER)
        for item in chosen.assumptions
    )
    return structs.replace(chosen, assumptions=assumptions)


def _require_known(dims: tuple[OpenDim, ...], overrides: Mapping[str, int]) -> None:
    """Refuses sizes for dims that the model does not have, and impossible sizes."""
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
