"""How do models differ that are measured now, alone or beside saved profiles?"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from feasibility.compare.compare_profiles import compare_profiles
from feasibility.compare.figures import Side
from feasibility.compare.noise import LOOKS
from feasibility.compare.outputs import compared_outputs
from feasibility.compare.runs_in_turns import ModelInTurn, measure_in_turns
from feasibility.compare.shared_inputs import with_inputs
from feasibility.compare.subjects import LABELS, Subject, common_threads, require_several
from feasibility.measure.inputs_that_run import read_to_run
from feasibility.measure.measure_model import STEP_COUNT, measure_reading
from feasibility.measure.measure_options import MeasureOptions, Progress, no_progress
from feasibility.records.comparison import ComparedOutputs, Comparison
from feasibility.records.model_reading import ModelReading
from feasibility.records.shared_fields import Notice


def compare_subjects(
    subjects: Sequence[Subject],
    options: MeasureOptions,
    threads: int | None = None,
    progress: Progress = no_progress,
) -> Comparison:
    """Figures of all subjects side by side, measured now where they are models.

    Args:
        subjects: The reference first.
        options: How to measure; a folder's settings replace those of the options.
        threads: Threads of all models; None for the number that folders state, otherwise 1.
        progress: Called with the steps of all models together.

    Raises:
        FeasibilityError: A model cannot be measured, or two models take different inputs.
    """
    require_several(subjects)
    options = dataclasses.replace(options, threads=common_threads(subjects, threads))
    steps = Steps(progress, sum(each.model is not None for each in subjects))
    steps.show_reading()
    models = _measured(subjects, options, steps)
    round_count = 0
    outputs: list[ComparedOutputs] = []
    notices: list[Notice] = []
    if len(models) > 1 and 0 in models:
        round_count = measure_in_turns([*models.values()], steps.show_round)
        steps.show_outputs()
        outputs, notices = compared_outputs(models)
    sides = []
    for position, subject in enumerate(subjects):
        if position in models:
            model = models[position]
            sides.append(Side(model.profile, model.series))
        elif subject.profile is not None:
            sides.append(Side(subject.profile))
    return compare_profiles(
        subjects,
        sides,
        outputs=outputs,
        round_count=round_count,
        warnings=[*notices, *profile_warnings(sides)],
    )


@dataclass(frozen=True, slots=True)
class Steps:
    """The steps of all models as one progress."""

    progress: Progress
    model_count: int

    @property
    def _total(self) -> int:
        return self.model_count * STEP_COUNT + (LOOKS[-1] + 1) * (self.model_count > 1)

    def of(self, number: int, name: str) -> Progress:
        """The progress of one measurement."""

        def show(done: int, _: int, doing: str) -> None:
            if doing:
                self.progress(number * STEP_COUNT + done, self._total, f"{doing} of {name}")

        return show

    def show_reading(self) -> None:
        """The first step, if a model is measured."""
        self.progress(0, self._total, "reading the models")

    def show_round(self, number: int) -> None:
        """The next round of processes in turns."""
        self.progress(self.model_count * STEP_COUNT + number, self._total, "time, in turns")

    def show_outputs(self) -> None:
        """The last step."""
        self.progress(self._total - 1, self._total, "outputs")


def _measured(
    subjects: Sequence[Subject], options: MeasureOptions, steps: Steps
) -> dict[int, ModelInTurn]:
    """The models among the subjects by position, all with the inputs of the first."""
    readings = dict(_readings(subjects, options))
    models: dict[int, ModelInTurn] = {}
    for number, (position, (read, own)) in enumerate(readings.items()):
        reading = read
        if models:
            first = next(iter(models.values()))
            reading = with_inputs(read, first.plan.inputs, first.reading.facts.name)
        profile = measure_reading(reading, own, steps.of(number, reading.facts.name))
        models[position] = ModelInTurn(reading, own, profile)
    return models


def _readings(
    subjects: Sequence[Subject], options: MeasureOptions
) -> Iterator[tuple[int, tuple[ModelReading, MeasureOptions]]]:
    """The models with their options; other inputs are an error before anything is measured."""
    first: ModelReading | None = None
    for position, subject in enumerate(subjects):
        if subject.model is None:
            continue
        own = dataclasses.replace(options, settings=subject.settings, recipe=subject.recipe)
        reading = read_to_run(subject.model, own)
        if first is None:
            first = reading
        else:
            with_inputs(reading, first.plans[0].inputs, first.facts.name)
        yield position, (reading, own)


def profile_warnings(sides: Sequence[Side]) -> Iterator[Notice]:
    """Warnings of the profiles, equal ones once, with the labels of their subjects."""
    found: dict[Notice, list[str]] = {}
    for label, side in zip(LABELS, sides, strict=False):
        for notice in side.profile.warnings:
            found.setdefault(notice, []).append(label)
    for notice, labels in found.items():
        message = f"{', '.join(dict.fromkeys(labels))}: {notice.message}"
        yield Notice(code=notice.code, message=message, hint=notice.hint)
