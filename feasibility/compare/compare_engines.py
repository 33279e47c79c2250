"""How do engines differ with one model? First their outputs are checked, then they are measured."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
from pathlib import Path

from feasibility.compare.compare_models import Steps, profile_warnings
from feasibility.compare.compare_profiles import compare_profiles
from feasibility.compare.figures import Side
from feasibility.compare.runs_in_turns import ModelInTurn, measure_in_turns
from feasibility.compare.subjects import LABELS, model_subject
from feasibility.errors import FeasibilityError, UsageError
from feasibility.measure.converted_model import ConvertedModel, converted_model
from feasibility.measure.engine_outputs import EngineOutputs
from feasibility.measure.inputs_that_run import read_for, read_to_run
from feasibility.measure.measure_model import measure_reading
from feasibility.measure.measure_options import MeasureOptions, Progress, no_progress
from feasibility.measure.passes import names_of_outputs, passes_over
from feasibility.records.comparison import ComparedOutputs, Comparison
from feasibility.records.drift import Drift
from feasibility.records.model_reading import ModelReading
from feasibility.records.shared_fields import Notice
from feasibility.records.workload import EngineName
from feasibility.runners.child_protocol import Loaded
from feasibility.runners.engines import ENGINES, require_format
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
    _require_two(engines)
    steps = Steps(progress, len(engines))
    steps.show_reading()
    reading = read_to_run(path, options)
    for engine in engines:
        require_format(engine, reading.facts.format)
    models: list[ModelInTurn] = []
    notices: list[Notice] = []
    failures: list[FeasibilityError] = []

    def leave_out(engine: EngineName, error: FeasibilityError) -> None:
        failures.append(error)
        notices.append(_failed(engine, error))

    def leave_out_model(model: ModelInTurn, error: FeasibilityError) -> None:
        assert model.options.engine is not None
        models.remove(model)
        leave_out(model.options.engine, error)

    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(scratch_folder())
        check: EngineOutputs | None = None
        for number, engine in enumerate(engines):
            own = dataclasses.replace(options, engine=engine)
            try:
                precision = _known_precision(reading, own, models)
                if precision is not None:
                    notices.append(_same_precision(engine, precision))
                    continue
                loaded, conversion = _loadable(reading, own, check, stack)
                drift = None if check is None else _drift_of(check, loaded, own, conversion)
                profile = measure_reading(loaded, own, steps.of(number, ENGINES[engine].title))
            except FeasibilityError as error:
                if check is None:
                    raise
                leave_out(engine, error)
                continue
            if conversion is not None:
                profile = conversion.described(profile)
            model = ModelInTurn(loaded, own, profile, drift)
            models.append(model)
            if check is None:
                reading = read_for(model.plan, reading, options)
                check = EngineOutputs(
                    model.passes, model.plan, [*names_of_outputs(reading)], folder
                )
        round_count = 0
        if len(models) > 1:
            round_count = measure_in_turns([*models], steps.show_round, leave_out_model)
        if len(models) == 1:
            raise failures[0] if failures else _one_engine(notices)
    sides = [Side(model.profile, model.series) for model in models]
    return compare_profiles(
        [model_subject(path) for _ in models],
        sides,
        outputs=[
            ComparedOutputs(subject=label, drift=model.drift)
            for label, model in zip(LABELS, models, strict=False)
            if model.drift is not None
        ],
        round_count=round_count,
        warnings=[*notices, *profile_warnings(sides)],
    )


def _loadable(
    reading: ModelReading,
    options: MeasureOptions,
    check: EngineOutputs | None,
    stack: contextlib.ExitStack,
) -> tuple[ModelReading, ConvertedModel | None]:
    """The model as an engine reads it; converted files exist until the stack is closed."""
    assert options.engine is not None
    if not ENGINES[options.engine].converts:
        return reading, None
    # Converted models are always compared with ONNX Runtime, which may be the reference.
    known = check if check is not None and check.passes.engine.is_onnxruntime else None
    converted = stack.enter_context(converted_model(reading, options, known))
    return converted.reading, converted


def _drift_of(
    check: EngineOutputs,
    loaded: ModelReading,
    options: MeasureOptions,
    conversion: ConvertedModel | None,
) -> Drift:
    """Drift from the reference; if that is ONNX Runtime, the conversion computed it before."""
    if conversion is not None and check.passes.engine.is_onnxruntime:
        return conversion.conversion.drift
    return check.checked(passes_over(loaded, options))


def _require_two(engines: Sequence[EngineName]) -> None:
    if len(set(engines)) < 2:
        raise UsageError(
            "Cannot compare engines",
            f"only {engines[0]} is given" if engines else "no engine is given",
            "name two or more, for example --engines onnxruntime,openvino",
        )


def _known_precision(
    reading: ModelReading, options: MeasureOptions, models: Sequence[ModelInTurn]
) -> str | None:
    """The type that an engine chooses by itself, if it was already measured in this type."""
    passes = passes_over(reading, options)
    known = {
        model.profile.workload.precision
        for model in models
        if model.passes.engine.child == passes.engine.child and not passes.engine.converts
    }
    if not known - {None}:
        return None
    chosen = passes.finished(passes.brief(models[0].plan, 1)).sent(Loaded).precision
    return chosen if chosen in known else None


def _same_precision(engine: EngineName, precision: str) -> Notice:
    title = ENGINES[engine].title
    return Notice(
        code="same-precision",
        message=f"{engine} is left out: on this processor, {title} computes in {precision} by "
        "default",
    )


def _one_engine(left_out: Sequence[Notice]) -> UsageError:
    return UsageError(
        "Cannot compare engines",
        "; ".join(each.message for each in left_out),
        "name another engine, for example --engines onnxruntime,openvino",
    )


def _failed(engine: EngineName, error: FeasibilityError) -> Notice:
    return Notice(code="engine-failed", message=f"{engine}: {error.message}", hint=error.hint)
