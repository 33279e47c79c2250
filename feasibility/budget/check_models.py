"""How are all models of a budget file checked? A failure of one does not stop the others."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from feasibility import __version__
from feasibility.budget.baseline import read_baseline
from feasibility.budget.budget_file import BudgetConfig
from feasibility.budget.budgeted_models import BudgetedModel
from feasibility.budget.check_model import Baseline, Check
from feasibility.budget.git_revision import Revision, revision_of
from feasibility.budget.model_under_test import ModelUnderTest
from feasibility.errors import DocumentError, FeasibilityError
from feasibility.measure.measure_options import ProgressOf
from feasibility.reading_cache import ReadingCache
from feasibility.records.budget import BudgetFailure, BudgetReport, ModelBudget


@dataclass(frozen=True, slots=True)
class CheckSettings:
    """How budgets are checked.

    Args:
        report_failure: Reports why a model could not be checked; returns the error.
        against: The revision to compare with; None for the recorded baselines.
    """

    config: BudgetConfig
    cache: ReadingCache
    report_failure: Callable[[Exception], FeasibilityError]
    progress_of: ProgressOf
    against: str | None = None
    is_static: bool = False
    is_strict: bool = False
    is_explained: bool = False
    timeout_s: float = 60.0


def check_models(models: Sequence[BudgetedModel], settings: CheckSettings) -> BudgetReport:
    """The report on all models; models that cannot be checked are among its errors."""
    results: list[ModelBudget] = []
    failures: list[BudgetFailure] = []
    folder = settings.config.folder.absolute()
    with (
        contextlib.nullcontext()
        if settings.against is None
        else revision_of(folder, settings.against)
    ) as revision:
        for model in models:
            try:
                results.append(_check_model(model, settings, revision))
            except Exception as raised:  # noqa: BLE001 (the other models are still checked)
                error = settings.report_failure(raised)
                failures.append(
                    BudgetFailure(model=model.name, message=error.message, hint=error.hint)
                )
    baseline = settings.config.baseline.name + "/"
    return BudgetReport(
        tool_version=__version__,
        config=settings.config.path.name,
        baseline=baseline if revision is None else f"{revision.name} ({revision.commit[:10]})",
        strict=settings.is_strict,
        models=tuple(results),
        errors=tuple(failures),
    )


def model_under_test(
    model: BudgetedModel, path: Path, cache: ReadingCache, timeout_s: float
) -> ModelUnderTest:
    """A model at a path, which differs from its own for another revision or a reference."""
    return ModelUnderTest(
        name=model.name,
        path=path,
        workload=model.budget.workload,
        cache=cache,
        timeout_s=timeout_s,
        is_p95_wanted="latency_p95" in model.budget.limits,
    )


def is_up_to_date(model: ModelUnderTest, folder: Path) -> bool:
    """Whether the recorded baseline has the bytes of this model and the current conditions."""
    try:
        recorded = read_baseline(folder, model.name)
    except DocumentError:
        return False
    return (
        recorded is not None
        and recorded.digest == model.digest
        and recorded.conditions == model.conditions
    )


def _check_model(
    model: BudgetedModel, settings: CheckSettings, revision: Revision | None
) -> ModelBudget:
    with settings.progress_of(model.name) as progress:
        check = Check(
            model=model,
            tested=_opened(model, model.path, settings),
            baseline=_baseline(model, settings, revision),
            reference=_reference(model, settings),
            may_trust_times=settings.config.is_dedicated,
            is_static=settings.is_static,
            progress=progress,
        )
        return check.run(is_explained=settings.is_explained)


def _opened(model: BudgetedModel, path: Path, settings: CheckSettings) -> ModelUnderTest:
    found = model_under_test(model, path, settings.cache, settings.timeout_s)
    # The digest reads the whole model, which static limits do not need.
    if not settings.is_static:
        found.open()
    return found


def _reference(model: BudgetedModel, settings: CheckSettings) -> ModelUnderTest | None:
    """The model to compare outputs with, if the budget names one."""
    rule = model.budget.drift
    if rule is None or rule.reference is None or settings.is_static:
        return None
    return _opened(model, settings.config.folder / rule.reference, settings)


def _baseline(model: BudgetedModel, settings: CheckSettings, revision: Revision | None) -> Baseline:
    if revision is None:
        snapshot = read_baseline(settings.config.baseline, model.name)
        missing = "no baseline is recorded: `feasibility budget update` records one"
        return Baseline(snapshot=snapshot, missing="" if snapshot else missing)
    path = revision.model(model.name)
    if path is None:
        return Baseline(
            missing=f"the model is new: {revision.name} does not contain it", is_excused=True
        )
    return Baseline(other=_opened(model, path, settings))
