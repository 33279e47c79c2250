"""Which inputs may a model run with? Complete choices, the likeliest first.

Sizes come from the user, from given arrays or from `dim_sizes`; values from given arrays, from
`accepted_values` or from the names of the inputs. A model may fail with sizes or values that
were guessed, so there are several plans to try one after the other.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from msgspec import structs
from onnx import ModelProto

from feasibility.errors import InputError
from feasibility.graph.inputs.accepted_values import Accepted, accepted_values
from feasibility.graph.inputs.dim_roles import OpenInput, dim_role, open_inputs
from feasibility.graph.inputs.dim_sizes import (
    Checked,
    bind_inputs,
    likely_bindings,
    typed,
)
from feasibility.graph.inputs.fill_values import Choice, cautious_choice, choose_fill
from feasibility.graph.inputs.given_arrays import GivenArray, given_arrays, sizes_of
from feasibility.graph.typed_graph import TypedGraph
from feasibility.graph.value_types import type_text
from feasibility.model_file.element_types import dtype_name
from feasibility.records.shared_fields import Assumption
from feasibility.records.workload import Fill, InputPlan, InputSpec
from feasibility.text import safe_text

MAX_PLANS: Final = 8

# Shapes to try for an input whose rank is unknown.
_OTHER_SHAPES: Final = ((1, 1), (), (1, 1, 1), (1, 3, 224, 224))
_Shapes: TypeAlias = Mapping[str, tuple[int, ...]]
_LENGTH_ROLES: Final = frozenset({"sequence", "frames", "samples"})


@dataclass(frozen=True, slots=True)
class LikelySizes:
    """The inputs of a model and the likely sizes of their dims.

    Args:
        choices: Complete choices of sizes, likeliest first, the first with the typed graph.
    """

    model: ModelProto
    inputs: tuple[OpenInput, ...]
    arrays: Mapping[str, GivenArray]
    choices: Sequence[Checked]

    @property
    def likeliest(self) -> tuple[InputPlan, TypedGraph]:
        """The first choice, and the graph with these sizes."""
        binding, graph = self.choices[0]
        assert graph is not None
        return binding, graph


def choose_sizes(
    model: ModelProto,
    dims: Mapping[str, int],
    files: Mapping[str, Path] | None = None,
    archive: Path | None = None,
) -> LikelySizes:
    """Likely sizes for the dims that a model leaves open.

    `files` are .npy files by input name, `archive` is a .npz file with arrays named after inputs.
    """
    inputs = open_inputs(model)
    arrays = given_arrays(inputs, files or {}, archive)
    sizes = _joined(dims, sizes_of(inputs, arrays))
    return LikelySizes(model, inputs, arrays, likely_bindings(model, inputs, sizes))


def plan_inputs(sizes: LikelySizes) -> tuple[InputPlan, ...]:
    """Complete choices of inputs for a model, likeliest first, at most eight.

    One plan per choice of sizes, and behind the first its cautious forms.
    """
    accepted: dict[str, Accepted] = {}
    plans: list[InputPlan] = []
    for binding, checked in sizes.choices:
        if not plans or any(item.of_dims for item in accepted.values()):
            accepted = accepted_values(checked or typed(sizes.model, sizes.inputs, binding.dims))
        shapes = {
            name: tuple(1 if size is None else size for size in value.shape or ())
            for name, value in bind_inputs(sizes.inputs, binding.dims).items()
        }
        length = _length(sizes.inputs, shapes)
        chosen = {
            given.name: choose_fill(given, shapes[given.name], accepted.get(given.name), length)
            for given in sizes.inputs
            if given.name not in sizes.arrays
        }
        is_first = not plans
        plans.append(_plan(sizes, shapes, binding, chosen))
        if is_first:
            plans += _cautious_plans(sizes, shapes, binding, chosen)
    return tuple(plans[:MAX_PLANS])


def _joined(given: Mapping[str, int], from_arrays: Mapping[str, int]) -> dict[str, int]:
    """Sizes of both origins."""
    for key, size in from_arrays.items():
        if given.get(key, size) != size:
            raise InputError(
                f"Cannot set the dim '{safe_text(key, 60)}' to {given[key]}",
                f"the array that was given has {size} there",
                "leave out the --dim option, or give another array",
            )
    return {**given, **from_arrays}


def _cautious_plans(
    sizes: LikelySizes, shapes: _Shapes, binding: InputPlan, chosen: Mapping[str, Choice]
) -> Iterator[InputPlan]:
    """Plans for when values, optional inputs or guessed ranks were the wrong choice."""
    doubtful = {name: choice for name, choice in chosen.items() if choice.is_guess}
    if doubtful:
        cautious = {name: cautious_choice(choice.fill) for name, choice in doubtful.items()}
        yield _plan(sizes, shapes, binding, {**chosen, **cautious})
    generated = [given for given in sizes.inputs if given.name in chosen]
    absent = Choice(Fill(kind="absent", reason="an optional input left empty"))
    left_out = {given.name: absent for given in generated if given.kind == "optional"}
    if left_out:
        yield _plan(sizes, shapes, binding, {**chosen, **left_out})
    unranked = [given.name for given in generated if not given.has_rank]
    for shape in _OTHER_SHAPES if unranked else ():
        yield _plan(sizes, {**shapes, **dict.fromkeys(unranked, shape)}, binding, chosen)


def _plan(
    sizes: LikelySizes, shapes: _Shapes, binding: InputPlan, chosen: Mapping[str, Choice]
) -> InputPlan:
    specs = []
    assumptions = list(binding.assumptions)
    for given in sizes.inputs:
        array = sizes.arrays.get(given.name)
        if array is not None:
            fill = Fill(kind="file", path=str(array.path), member=array.member)
            shape = array.shape
        else:
            fill, shape = chosen[given.name].fill, shapes[given.name]
            assumptions += _assumptions(given, fill, shape)
        specs.append(
            InputSpec(
                name=given.name,
                dtype=dtype_name(given.elem_type),
                shape=shape,
                kind=given.kind,
                type_text=type_text(given.type),
                fill=fill,
            )
        )
    return structs.replace(binding, inputs=tuple(specs), assumptions=tuple(assumptions))


def _assumptions(given: OpenInput, fill: Fill, shape: tuple[int, ...]) -> Iterator[Assumption]:
    option = f"--input {shlex.quote(f'{given.name}=FILE.npy')}"
    if fill.reason:
        low, high = int(fill.low), int(fill.high)
        value = f"all {low}" if low == high else f"{low} to {high}"
        value = "left empty" if fill.kind == "absent" else value
        yield Assumption(subject=given.name, value=value, reason=fill.reason, option=option)
    if not given.has_rank:
        value = f"shape [{', '.join(map(str, shape))}]"
        reason = "the model does not say how many dims it has"
        yield Assumption(subject=given.name, value=value, reason=reason, option=option)


def _length(inputs: tuple[OpenInput, ...], shapes: _Shapes) -> int:
    """Size of the longest text, sound or spectrogram among the inputs; 1 if there is none."""
    lengths = [
        size
        for given in inputs
        for axis, size in enumerate(shapes[given.name])
        if dim_role(given, axis, inputs) in _LENGTH_ROLES
    ]
    return max([1, *lengths])
