"""Do two models take the same inputs? Gives one model the inputs of another."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from feasibility.errors import InputError
from feasibility.records.model_reading import ModelReading
from feasibility.records.workload import InputPlan, InputSpec
from feasibility.text import safe_text


def with_inputs(reading: ModelReading, inputs: Sequence[InputSpec], reference: str) -> ModelReading:
    """The model with one plan: these inputs, which are those of the model named `reference`.

    Values are the same; names are its own, because two exports of one model may differ in them.

    Raises:
        InputError: The model takes inputs of other types or shapes.
    """
    for plan in reading.plans:
        if list(map(_type, plan.inputs)) == list(map(_type, inputs)):
            renamed = tuple(
                replace(given, name=own.name)
                for given, own in zip(inputs, plan.inputs, strict=True)
            )
            shared = InputPlan(inputs=renamed, dims=plan.dims, assumptions=plan.assumptions)
            return replace(reading, plans=(shared,))
    raise InputError(
        f"Cannot compare {safe_text(reference)} with {safe_text(reading.facts.name)}",
        f"their inputs differ: {_text(inputs)}, but {_text(reading.plans[0].inputs)}",
        "set sizes with --dim, or compare profiles that `feasibility measure -o FILE` wrote",
    )


def _type(spec: InputSpec) -> tuple[object, ...]:
    return spec.kind, spec.dtype, spec.shape


def _text(inputs: Sequence[InputSpec]) -> str:
    return (
        " and ".join(
            f"{safe_text(each.name, 40)} {safe_text(each.dtype, 20)} "
            f"{'x'.join(map(str, each.shape)) or 'scalar'}"
            for each in inputs[:4]
        )
        or "none"
    )
