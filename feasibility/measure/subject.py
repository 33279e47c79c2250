"""The model that is to be measured: its facts, and inputs that it may accept."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from feasibility.facts.model_facts import digest, facts_of
from feasibility.facts.ort_format import ort_facts
from feasibility.graph.inputs.input_plans import plan_inputs, plan_inputs_from_specs
from feasibility.measure.child_errors import child_error
from feasibility.measure.measure_options import MeasureOptions
from feasibility.measure.passes import Passes
from feasibility.model_file.open_model import open_model
from feasibility.model_file.skeleton import Skeleton, skeleton_of
from feasibility.records.base import Dim, TensorSpec
from feasibility.records.facts import ModelFacts
from feasibility.records.workload import InputPlan
from feasibility.runners.child_protocol import Described

# The runtime writes types as tensor(float), seq(tensor(int64)), map(int64,tensor(float)).
_TENSOR: Final = re.compile(r"tensor\((\w+)\)")
_NUMPY_WORDS: Final = {"float": "float32", "double": "float64"}


@dataclass(frozen=True, slots=True)
class Subject:
    """What is known before anything runs.

    Args:
        path: The model as it was given.
        plans: Complete choices of inputs, the likeliest first; never empty.
        facts: What the file says, with the dims of the first plan.
        skeleton: The graph without its weights; None for formats only the runtime reads.
    """

    path: Path
    plans: tuple[InputPlan, ...]
    facts: ModelFacts
    skeleton: Skeleton | None

    def facts_for(self, plan: InputPlan) -> ModelFacts:
        """What the file says, with the dims of a plan that turned out to run."""
        if self.skeleton is None or plan.dims == self.plans[0].dims:
            return self.facts
        return facts_of(self.skeleton, dims=plan.dims, sha256=self.facts.sha256)


def read_subject(path: Path, options: MeasureOptions, passes: Passes) -> Subject:
    """Facts and input plans of a model.

    A format that only the runtime can read is opened in a child for its inputs.

    Raises:
        ModelError: The file is no model, or the runtime refuses it.
        InputError: The dims or inputs that were given do not match it.
    """
    with open_model(path) as file:
        sha256 = digest(file)
        if file.format == "ort":
            plans = _plans_from_runtime(path, options, passes)
            return Subject(path, plans, ort_facts(file, sha256), skeleton=None)
        skeleton = skeleton_of(file)
    plans = plan_inputs(
        skeleton.model,
        dims=options.dims,
        files=options.input_files,
        archive=options.inputs_archive,
        seed=options.seed,
    )
    facts = facts_of(skeleton, dims=plans[0].dims, sha256=sha256)
    return Subject(path, plans, facts, skeleton)


def _plans_from_runtime(
    path: Path, options: MeasureOptions, passes: Passes
) -> tuple[InputPlan, ...]:
    result = passes.describe()
    described = result.event(Described)
    if described is None:
        raise child_error(result, path.name, passes.ceiling_bytes)
    return plan_inputs_from_specs(
        tuple(_spec(*declared) for declared in described.inputs),
        dims=options.dims,
        files=options.input_files,
        archive=options.inputs_archive,
        seed=options.seed,
    )


def _spec(name: str, type_text: str, shape: tuple[object, ...]) -> TensorSpec:
    """An input as the runtime describes it."""
    word = _TENSOR.search(type_text)
    dtype = word[1] if word else "float"
    dims: tuple[Dim, ...] = tuple(dim if isinstance(dim, (int, str)) else None for dim in shape)
    return TensorSpec(
        name=name,
        dtype=_NUMPY_WORDS.get(dtype, dtype),
        shape=dims,
        kind="sequence" if type_text.startswith("seq(") else "tensor",
        type_text=type_text,
    )
