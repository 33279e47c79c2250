"""Which inputs does the model run with? The first of its plans that works."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec.structs import replace

from feasibility.errors import FeasibilityError, InputError
from feasibility.facts.read_model import read_model
from feasibility.measure.child_errors import (
    child_error,
    is_out_of_memory,
    is_wrong_type,
    run_failure,
)
from feasibility.measure.measure_options import MeasureOptions
from feasibility.measure.passes import Passes
from feasibility.records.model_reading import ModelReading
from feasibility.records.workload import InputPlan
from feasibility.runners.child_process import ChildResult
from feasibility.runners.child_protocol import Failed
from feasibility.text import safe_text


def read_to_run(path: Path, options: MeasureOptions, *, all_changes: bool = False) -> ModelReading:
    """A model's facts, and inputs that it may run with; see `read_model`."""
    return read_model(
        path,
        dims=options.dims,
        with_plans=True,
        input_files=options.input_files,
        archive=options.inputs_archive,
        hash_file=True,
        timeout_s=options.timeout_s,
        all_changes=all_changes,
    )


def read_for(
    plan: InputPlan, reading: ModelReading, options: MeasureOptions, *, all_changes: bool = False
) -> ModelReading:
    """The model with this plan only; read again if its dims differ from those of the reading."""
    if plan.dims != reading.facts.dims:
        options = dataclasses.replace(options, dims=plan.dims)
        reading = read_to_run(reading.path, options, all_changes=all_changes)
    return replace(reading, plans=(plan,))


def first_that_runs(
    reading: ModelReading, run: Callable[[InputPlan], ChildResult], passes: Passes
) -> tuple[InputPlan, ChildResult]:
    """The likeliest plan that works, and the run that showed it.

    Raises:
        FeasibilityError: No plan works.
    """
    failures: list[ChildResult] = []
    for plan in reading.plans:
        result = run(plan)
        if result.ending == "done":
            return plan, result
        failures.append(result)
        if not _may_be_sizes(result):
            break
    raise _no_plan_runs(reading, failures, passes)


def _may_be_sizes(result: ChildResult) -> bool:
    """Whether other input sizes could help: the model loaded, and its run was refused."""
    failed = result.event(Failed)
    if failed is None or failed.phase != "run":
        return False
    return not is_out_of_memory(failed) and not is_wrong_type(failed)


def _no_plan_runs(
    reading: ModelReading, failures: Sequence[ChildResult], passes: Passes
) -> FeasibilityError:
    """The error for a model that failed with all planned inputs."""
    first, last = failures[0].event(Failed), failures[-1]
    plan = reading.plans[0]
    if len(failures) < 2 or first is None or not plan.dims or not _may_be_sizes(last):
        return child_error(last, reading.facts.name, passes.ceiling_bytes, passes.engine.title)
    tried = {
        name: sorted({other.dims[name] for other in reading.plans if name in other.dims})
        for name in plan.dims
    }
    sizes = "; ".join(
        f"{safe_text(name)}: {', '.join(map(str, values))}" for name, values in tried.items()
    )
    return InputError(
        f"{safe_text(reading.facts.name)!r} loads but does not run with any size that was tried",
        f"with the first one, {run_failure(first.message)} (tried {sizes})",
        "give the sizes it needs: "
        + " ".join(f"--dim {safe_text(name)}=N" for name in list(plan.dims)[:4]),
    )
