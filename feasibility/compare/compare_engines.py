"""How do engines differ with one model? First their outputs are checked, then they are measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from feasibility.compare.compare_models import Steps, profile_warnings
from feasibility.compare.compare_profiles import compare_profiles
from feasibility.compare.engine_outputs import EngineOutputs
from feasibility.compare.figures import Side
from feasibility.compare.runs_in_turns import ModelInTurn, measure_in_turns
from feasibility.compare.subjects import LABELS, model_subject, require_several
from feasibility.errors import FeasibilityError, UsageError
from feasibility.measure.inputs_that_run import read_to_run
from feasibility.measure.measure_model import measure_reading
from feasibility.measure.measure_options import MeasureOptions, Progress, no_progress
from feasibility.measure.passes import local_passes
from feasibility.records.comparison import ComparedOutputs, Comparison
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
    models = [ModelInTurn(reading, own[0], measure_reading(reading, own[0], steps.of(0, names[0])))]
    reading = replace(reading, plans=(models[0].plan,))
    outputs: list[ComparedOutputs] = []
    notices: list[Notice] = []
    failures: list[FeasibilityError] = []
    with scratch_folder() as folder:
        output_names = [each.name for each in reading.facts.outputs]
        check = EngineOutputs(models[0].passes, models[0].plan, output_names, folder)
        for number in range(1, len(engines)):
            try:
                if _is_same_again(own[number], models):
                    notices.append(_same_precision(engines[number]))
                    continue
                drift = check.checked(local_passes(reading.path, own[number]))
                profile = measure_reading(reading, own[number], steps.of(number, names[number]))
            except FeasibilityError as error:
                failures.append(error)
                notices.append(_failed(engines[number], error))
                continue
            outputs.append(ComparedOutputs(subject=LABELS[len(models)], drift=drift))
            models.append(ModelInTurn(reading, own[number], profile))
    if len(models) == 1:
        raise failures[0] if failures else _one_engine(notices)
    round_count = measure_in_turns(models, steps.show_round)
    sides = [Side(model.profile, model.series) for model in models]
    return compare_profiles(
        [model_subject(path, model.options.engine) for model in models],
        sides,
        outputs=outputs,
        round_count=round_count,
        warnings=[*notices, *profile_warnings(sides)],
    )


def _is_same_again(options: MeasureOptions, models: Sequence[ModelInTurn]) -> bool:
    """Whether an engine chooses the type in which it was measured already."""
    engine, first = ENGINES[options.engine], models[0]
    if engine.is_exact:
        return False
    known = {
        model.profile.workload.precision
        for model in models
        if ENGINES[model.options.engine].child == engine.child
    }
    if not known:
        return False
    passes = local_passes(first.reading.path, options)
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
