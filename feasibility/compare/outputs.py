"""How far do the outputs of models differ that are measured now, for the same inputs?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from feasibility.compare.runs_in_turns import ModelInTurn
from feasibility.compare.subjects import LABELS
from feasibility.errors import ChangeError
from feasibility.fit.drift import drift_between
from feasibility.measure.output_drift import Outputs
from feasibility.records.comparison import ComparedOutputs
from feasibility.records.fit import Drift
from feasibility.records.shared_fields import Notice
from feasibility.temporary_folders import scratch_folder

# Different inputs whose outputs are compared, unless the first ones are equal bit by bit.
_SAMPLE_COUNT: Final = 4


def compared_outputs(
    models: Mapping[int, ModelInTurn],
) -> tuple[list[ComparedOutputs], list[Notice]]:
    """The outputs of each model against those of the one at position 0, for the same inputs."""
    found, notices = [], []
    with scratch_folder() as folder:
        reference = _Reference(models[0], folder)
        for position, model in models.items():
            if position == 0:
                continue
            try:
                drift = _drift(reference, model)
            except ChangeError as error:
                notices.append(
                    Notice(code="other-outputs", message=f"{LABELS[position]}: {error.message}")
                )
            else:
                found.append(ComparedOutputs(subject=LABELS[position], drift=drift))
    return found, notices


@dataclass(slots=True)
class _Reference:
    """The first model with its outputs by seed."""

    model: ModelInTurn
    folder: Path
    _known: dict[int, Outputs] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """Names of its outputs by position."""
        return [each.name for each in self.model.reading.facts.outputs]

    def outputs(self, seed: int) -> Outputs:
        """Its outputs for the inputs of one seed, computed once."""
        if seed not in self._known:
            self._known[seed] = _outputs(self.model, seed, self.names, self.folder)
        return self._known[seed]


def _drift(reference: _Reference, model: ModelInTurn) -> Drift:
    """The drift for one seed, and for more of them unless outputs are equal bit by bit.

    Raises:
        ChangeError: An output is missing, has another shape, or is not finite in one of both.
    """
    first = model.options.seed
    seeds = [first]
    outputs = [_outputs(model, first, reference.names, reference.folder)]
    drift = drift_between([reference.outputs(first)], outputs)
    if drift.is_identical or not _has_generated_inputs(model):
        return drift
    for seed in range(first + 1, first + _SAMPLE_COUNT):
        seeds.append(seed)
        outputs.append(_outputs(model, seed, reference.names, reference.folder))
    return drift_between([reference.outputs(seed) for seed in seeds], outputs)


def _outputs(model: ModelInTurn, seed: int, names: Sequence[str], folder: Path) -> Outputs:
    """Outputs under the reference's names; others keep their position as name."""
    found = model.outputs(seed, folder)
    return {
        names[int(position)] if int(position) < len(names) else position: array
        for position, array in found.items()
    }


def _has_generated_inputs(model: ModelInTurn) -> bool:
    """Whether another seed gives other inputs."""
    return any(each.fill.kind in ("uniform", "integers") for each in model.plan.inputs)
