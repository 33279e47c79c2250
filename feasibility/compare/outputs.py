"""How far do the outputs of models differ that are measured now, for the same inputs?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from feasibility.compare.runs_in_turns import ModelInTurn
from feasibility.compare.subjects import LABELS
from feasibility.errors import ChangeError
from feasibility.measure.model_outputs import model_outputs
from feasibility.measure.passes import names_of_outputs
from feasibility.output_drift import drift_between, require_comparable
from feasibility.records.comparison import ComparedOutputs
from feasibility.records.drift import Drift
from feasibility.records.shared_fields import Notice

if TYPE_CHECKING:
    from feasibility.output_drift import Outputs

# Different inputs whose outputs are compared, unless the first ones are equal bit by bit.
_SAMPLE_COUNT: Final = 4


def compared_outputs(
    models: Mapping[int, ModelInTurn],
) -> tuple[list[ComparedOutputs], list[Notice]]:
    """The outputs of each model against those of the one at position 0, for the same inputs."""
    found, notices = [], []
    first = models[0]
    known: dict[int, Outputs] = {}
    for position, model in models.items():
        if position == 0:
            continue
        try:
            found.append(
                ComparedOutputs(subject=LABELS[position], drift=_drift(first, known, model))
            )
        except ChangeError as error:
            message = f"{LABELS[position]}: {error.message}"
            notices.append(Notice(code="other-outputs", message=message))
    return found, notices


def _drift(first: ModelInTurn, known: dict[int, Outputs], model: ModelInTurn) -> Drift:
    """The drift for one seed, and for more of them unless outputs are equal bit by bit.

    `known` has the outputs of the first model by seed.

    Raises:
        ChangeError: The outputs cannot be compared.
    """
    reference: list[Outputs] = []
    outputs: list[Outputs] = []
    # Outputs are compared by position, and have the names of the first model.
    names = names_of_outputs(first.reading)

    def outputs_of(runs: ModelInTurn, seed: int) -> Outputs:
        return model_outputs(runs.passes, runs.plan, seed).named(names)

    count = _SAMPLE_COUNT if model.plan.has_random_inputs else 1
    for seed in range(model.options.seed, model.options.seed + count):
        if seed not in known:
            found = outputs_of(first, seed)
            require_comparable([found])
            known[seed] = found
        reference.append(known[seed])
        outputs.append(outputs_of(model, seed))
        if len(outputs) == 1 and drift_between(reference, outputs).is_identical:
            break
    return drift_between(reference, outputs)
