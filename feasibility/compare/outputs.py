"""How far do the outputs of models differ that are measured now, for the same inputs?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from feasibility.compare.runs_in_turns import ModelInTurn
from feasibility.compare.subjects import LABELS
from feasibility.measure.output_drift import Outputs, drift_ratio
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
    reference = models[0]
    names = [each.name for each in reference.reading.facts.outputs]
    with scratch_folder() as folder:
        expected = [_outputs(reference, reference.options.seed, names, folder)]
        for position, model in models.items():
            if position == 0:
                continue
            outputs = [_outputs(model, model.options.seed, names, folder)]
            if _shapes(outputs[0]) != _shapes(expected[0]):
                notices.append(_other_outputs(position))
                continue
            drift = _drift(expected[:1], outputs)
            if not drift.is_identical:
                for seed in _further_seeds(model):
                    outputs.append(_outputs(model, seed, names, folder))
                    if len(expected) < len(outputs):
                        expected.append(_outputs(reference, seed, names, folder))
                drift = _drift(expected[: len(outputs)], outputs)
            found.append(ComparedOutputs(subject=LABELS[position], drift=drift))
    return found, notices


def _outputs(model: ModelInTurn, seed: int, names: Sequence[str], folder: Path) -> Outputs:
    """Outputs under the reference's names; others keep their position as name."""
    found = model.outputs(seed, folder)
    return {
        names[int(position)] if int(position) < len(names) else position: array
        for position, array in found.items()
    }


def _shapes(outputs: Outputs) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in outputs.items()}


def _drift(references: Sequence[Outputs], outputs: Sequence[Outputs]) -> Drift:
    ratio = max(map(drift_ratio, references, outputs))
    return Drift(sample_count=len(outputs), is_identical=ratio == 0.0, relative_ratio=ratio)


def _further_seeds(model: ModelInTurn) -> Iterable[int]:
    """Seeds of other inputs; none if all inputs are from files."""
    if all(each.fill.kind in ("file", "constant", "absent") for each in model.plan.inputs):
        return ()
    return range(model.options.seed + 1, model.options.seed + _SAMPLE_COUNT)


def _other_outputs(position: int) -> Notice:
    return Notice(
        code="other-outputs",
        message=f"{LABELS[position]}: its outputs have other shapes than those of {LABELS[0]}, or "
        "there are more or fewer of them; they were not compared",
    )
