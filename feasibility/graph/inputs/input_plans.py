"""Complete choices of inputs for a model, the likeliest first.

Sizes come from the user, from given arrays or from `dims`; values from given
arrays, from what the graph accepts (`ranges`) or from the names of the inputs.
A size or value that was chosen here can make a model fail, so there are several
plans: whoever measures tries one after the other.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from feasibility.errors import InputError
from feasibility.graph.inputs.accepted_values import Accepted, accepted_values
from feasibility.graph.inputs.dim_roles import OpenInput, dim_role, open_inputs
from feasibility.graph.inputs.dim_sizes import bind_inputs, likely_bindings, typed
from feasibility.graph.inputs.fill import Choice, cautious_fill, choose_fill
from feasibility.graph.inputs.given_arrays import given_arrays, sizes_of
from feasibility.graph.value_types import type_text
from feasibility.model_file.element_types import dtype_name
from feasibility.records.base import Assumption
from feasibility.records.workload import Fill, InputPlan, InputSpec
from feasibility.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from onnx import ModelProto

    from feasibility.graph.inputs.dim_sizes import Checked, DimBinding
    from feasibility.graph.inputs.given_arrays import GivenArray
    from feasibility.graph.typed_graph import TypedGraph
    from feasibility.graph.value_types import Shape

MAX_PLANS: Final = 8

# Shapes to try for an input whose rank nothing tells.
_OTHER_SHAPES: Final = ((1, 1), (), (1, 1, 1), (1, 3, 224, 224))
_LENGTH_ROLES: Final = frozenset({"sequence", "frames", "samples"})


@dataclass(frozen=True, slots=True)
class LikelySizes:
    """The inputs of a model and the likely sizes of their dims.

    Args:
        model: The model; the weights need not have their data.
        inputs: The inputs that a caller gives.
        arrays: Arrays that the user gave for some of them.
        choices: Complete choices of sizes, likeliest first, the first with the typed graph.
    """

    model: ModelProto
    inputs: tuple[OpenInput, ...]
    arrays: Mapping[str, GivenArray]
    choices: Sequence[Checked]

    @property
    def likeliest(self) -> tuple[DimBinding, TypedGraph]:
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

    Args:
        model: The model; the weights need not have their data.
        dims: Sizes that the user gave, by the name of the dim.
        files: A .npy file by input name.
        archive: A .npz file with arrays named after inputs.

    Raises:
        InputError: A dim, a name or an array that does not match the model.
    """
    inputs = open_inputs(model)
    arrays = given_arrays(inputs, files or {}, archive)
    sizes = _joined(dims, sizes_of(inputs, arrays))
    return LikelySizes(model, inputs, arrays, likely_bindings(model, inputs, sizes))


def plan_inputs(sizes: LikelySizes) -> tuple[InputPlan, ...]:
    """Complete choices of inputs for a model, likeliest first, at most eight."""
    accepted: dict[str, Accepted] | None = None
    choices: list[tuple[DimBinding, Mapping[str, Accepted]]] = []
    for binding, checked in sizes.choices:
        if accepted is None or any(item.of_dims for item in accepted.values()):
            accepted = accepted_values(checked or typed(sizes.model, sizes.inputs, binding.dims))
        choices.append((binding, accepted))
    return tuple(_plans(sizes.inputs, sizes.arrays, choices))[:MAX_PLANS]


def _joined(given: Mapping[str, int], from_arrays: Mapping[str, int]) -> dict[str, int]:
    """Sizes of both origins.

    Raises:
        InputError: An array and an option give one dim two sizes.
    """
    for key, size in from_arrays.items():
        if given.get(key, size) != size:
            raise InputError(
                f"Cannot set the dim '{safe_text(key, 60)}' to {given[key]}",
                f"the array that was given has {size} there",
                "leave out the --dim option, or give another array",
            )
    return {**given, **from_arrays}


def _plans(
    inputs: tuple[OpenInput, ...],
    arrays: Mapping[str, GivenArray],
    choices: Iterable[tuple[DimBinding, Mapping[str, Accepted]]],
) -> Iterator[InputPlan]:
    """One plan per choice of sizes, and behind the first its cautious forms."""
    for at, (binding, accepted) in enumerate(choices):
        shapes = {
            given.name: value.shape
            for given, value in zip(inputs, bind_inputs(inputs, binding.dims).values(), strict=True)
        }
        length = _length(inputs, shapes)
        chosen = {
            given.name: choose_fill(
                given,
                _closed(shapes[given.name]),
                accepted.get(given.name),
                length,
            )
            for given in inputs
            if given.name not in arrays
        }
        yield _plan(inputs, shapes, binding, chosen, arrays)
        if at == 0:
            yield from _cautious_plans(inputs, shapes, binding, chosen, arrays)


def _cautious_plans(
    inputs: tuple[OpenInput, ...],
    shapes: Mapping[str, Shape | None],
    binding: DimBinding,
    chosen: Mapping[str, Choice],
    arrays: Mapping[str, GivenArray],
) -> Iterator[InputPlan]:
    """Plans for when values, optional inputs or guessed ranks were the wrong choice."""
    doubtful = {name: choice for name, choice in chosen.items() if not choice.is_told}
    if doubtful:
        cautious = {name: Choice(cautious_fill(choice.fill)) for name, choice in doubtful.items()}
        yield _plan(inputs, shapes, binding, {**chosen, **cautious}, arrays)
    optional = [given.name for given in inputs if given.kind == "optional"]
    if any(name in chosen for name in optional):
        absent = Choice(Fill(kind="absent", reason="an optional input left empty"))
        left_out = {name: absent for name in optional if name in chosen}
        yield _plan(inputs, shapes, binding, {**chosen, **left_out}, arrays)
    unranked = [given.name for given in inputs if not given.has_rank and given.name not in arrays]
    if unranked:
        for shape in _OTHER_SHAPES:
            yield _plan(
                inputs, {**shapes, **dict.fromkeys(unranked, shape)}, binding, chosen, arrays
            )


def _plan(
    inputs: tuple[OpenInput, ...],
    shapes: Mapping[str, Shape | None],
    binding: DimBinding,
    chosen: Mapping[str, Choice],
    arrays: Mapping[str, GivenArray],
) -> InputPlan:
    specs = []
    assumptions = list(binding.assumptions)
    for given in inputs:
        array = arrays.get(given.name)
        if array is not None:
            fill = Fill(kind="file", path=str(array.path), member=array.member)
            shape = array.shape
        else:
            fill = chosen[given.name].fill
            shape = _closed(shapes[given.name])
            if fill.reason:
                assumptions.append(_value_assumption(given.name, fill))
            if not given.has_rank:
                assumptions.append(_rank_assumption(given.name, shape))
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
    return InputPlan(inputs=tuple(specs), dims=binding.dims, assumptions=tuple(assumptions))


def _value_assumption(name: str, fill: Fill) -> Assumption:
    if fill.kind == "absent":
        value = "left empty"
    elif fill.low == fill.high:
        value = f"all {int(fill.low)}"
    else:
        value = f"{int(fill.low)} to {int(fill.high)}"
    return Assumption(subject=name, value=value, reason=fill.reason, option=_file_option(name))


def _rank_assumption(name: str, shape: tuple[int, ...]) -> Assumption:
    return Assumption(
        subject=name,
        value=f"shape [{', '.join(map(str, shape))}]",
        reason="the model does not say how many dims it has",
        option=_file_option(name),
    )


def _file_option(name: str) -> str:
    return f"--input {shlex.quote(f'{name}=FILE.npy')}"


def _closed(shape: Shape | None) -> tuple[int, ...]:
    return tuple(1 if size is None else size for size in shape or ())


def _length(inputs: tuple[OpenInput, ...], shapes: Mapping[str, Shape | None]) -> int:
    """Size of the longest text, sound or spectrogram that is fed; 1 where there is none."""
    longest = 1
    for given in inputs:
        for axis, size in enumerate(shapes[given.name] or ()):
            if size is not None and dim_role(given, axis, inputs) in _LENGTH_ROLES:
                longest = max(longest, size)
    return longest
