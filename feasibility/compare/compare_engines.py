"""How do engines differ with one model? First their outputs are checked, then they are measured."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from feasibility.compare.compare_models import Steps, profile_warnings
from feasibility.compare.compare_profiles import compare_profiles
from feasibility.compare.figures import Side
from feasibility.compare.runs_in_turns import ModelInTurn, measure_in_turns
from feasibility.compare.subjects import LABELS, model_subject, require_several
from feasibility.errors import FeasibilityError, UsageError
from feasibility.measure.converted_model import converted_model
from feasibility.measure.engine_outputs import EngineOutputs
from feasibility.measure.inputs_that_run import read_to_run
from feasibility.measure.measure_model import measure_reading
from feasibility.measure.measure_options import MeasureOptions, Progress, no_progress
from feasibility.measure.passes import local_passes, names_of_outputs
from feasibility.records.comparison import ComparedOutputs, Comparison
from feasibility.records.drift import Drift
from feasibility.records.model_reading import ModelReading
from feasibility.records.shared_fields import Notice
from feasibility.records.workload import EngineName
from feasibility.runners.child_protocol import Loaded
from feasibility.runners.engines import ENGINES
from feasibility.temporary_folders import scratch_folder


def compare_engines(
    path: Path,
    engines: Sequence[EngineName],
    options: MeasureOptions,
    progress: Progress = no_progress,
) -> Comparison:
    """Figures of one model with several engines; those that fail or compute otherwise are noted.

    Args:
        path: The model.
        engines: The reference first.
        options: How to measure; the engine is replaced.
        progress: Called with the steps of all engines together.

    Raises:
        FeasibilityError: The reference cannot run the model, or none of the others can; then it is
            the error of the first of them.
    """
    require_several(engines)
    steps = Steps(progress, len(engines))
    steps.show_reading()
    reading = read_to_run(path, options)
    own = [dataclasses.replace(options, engine=engine) for engine in engines]
    names = [ENGINES[engine].title for engine in engines]
    first = measure_reading(reading, own[0], steps.of(0, names[0]))
    models, found = [ModelInTurn(reading, own[0], first)], [engines[0]]
    if models[0].plan.dims != reading.facts.dims:
        reading = read_to_run(path, dataclasses.replace(options, dims=models[0].plan.dims))
    reading = replace(reading, plans=(models[0].plan,))
    outputs: list[ComparedOutputs] = []
    notices: list[Notice] = []
    failures: list[FeasibilityError] = []
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(scratch_folder())
        check = EngineOutputs(
            models[0].passes, models[0].plan, [*names_of_outputs(reading)], folder
        )
        for number, engine in enumerate(engines):
            if number == 0:
                continue
            try:
                if _is_same_again(own[number], models):
                    notices.append(_same_precision(engine))
                    continue
                model = _measured(
                    reading, own[number], check, stack, steps.of(number, names[number])
                )
            except FeasibilityError as error:
                failures.append(error)
                notices.append(_failed(engine, error))
                continue
            outputs.append(ComparedOutputs(subject=LABELS[len(models)], drift=model.drift))
            models.append(model.in_turn)
            found.append(engine)
        if len(models) == 1:
            raise failures[0] if failures else _one_engine(notices)
        round_count = measure_in_turns(models, steps.show_round)
    sides = [Side(model.profile, model.series) for model in models]
    return compare_profiles(
        [model_subject(path, engine) for engine in found],
        sides,
        outputs=outputs,
        round_count=round_count,
        warnings=[*notices, *profile_warnings(sides)],
    )


class _Measured(NamedTuple):
    in_turn: ModelInTurn
    drift: Drift


def _measured(
    reading: ModelReading,
    options: MeasureOptions,
    check: EngineOutputs,
    stack: contextlib.ExitStack,
    progress: Progress,
) -> _Measured:
    """The figures of an engine whose outputs are those of the reference.

    What it needs on disk exists until the stack is closed.
    """
    assert options.engine is not None
    if ENGINES[options.engine].converts:
        converted = stack.enter_context(converted_model(reading, options))
        profile = measure_reading(converted.reading, options, progress)
        model = ModelInTurn(converted.reading, options, converted.described(profile))
        return _Measured(model, converted.conversion.drift)
    passes = local_passes(reading.path, options)
    drift = check.checked(dataclasses.replace(passes, output_names=names_of_outputs(reading)))
    return _Measured(
        ModelInTurn(reading, options, measure_reading(reading, options, progress)), drift
    )


def _is_same_again(options: MeasureOptions, models: Sequence[ModelInTurn]) -> bool:
    """Whether an engine chooses the type in which it was measured already."""
    first = models[0]
    passes = local_passes(first.reading.path, options)
    known = {
        model.profile.workload.precision
        for model in models
        if model.passes.engine.child == passes.engine.child and not passes.engine.converts
    }
    if not known - {None}:
        return False
    return passes.finished(passes.brief(first.plan, 1)).sent(Loaded).precision in known


def _same_precision(engine: EngineName) -> Notice:
    title = ENGINES[engine].title
    return Notice(
        code="same-precision",
        message=f"{engine} is left out: on this processor, {title} computes in float32 by default",
    )


def _one_engine(left_out: Sequence[Notice]) -> UsageError:
    return UsageError(
        "Cannot compare engines",
        "; ".join(each.message for each in left_out),
        "name another engine, for example --engines onnxruntime,openvino",
    )


def _failed(engine: EngineName, error: FeasibilityError) -> Notice:
    return Notice(code="engine-failed", message=f"{engine}: {error.message}", hint=error.hint)
