"""What the budget commands share: from a budget file to a report, one model after the other."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from feasibility import __version__
from feasibility.commands.progress import progress_on
from feasibility.commands.report_error import bug_error, report_error
from feasibility.errors import FeasibilityError

if TYPE_CHECKING:
    from feasibility.budget.bench import Bench
    from feasibility.budget.check import Baseline
    from feasibility.budget.config import BudgetConfig, BudgetedWorkload, DeviceRule
    from feasibility.budget.matching import BudgetedModel
    from feasibility.budget.revision import Revision
    from feasibility.budget.store import Store
    from feasibility.records.budget import (
        BudgetFailure,
        BudgetLine,
        BudgetReport,
        ModelBudget,
        Outcome,
    )
    from feasibility.records.profile import Profile


@dataclass(frozen=True, slots=True)
class Settings:
    """How budgets are checked.

    Args:
        config: The budgets.
        store: Where readings are kept.
        against: The revision to compare with; None for the recorded baselines.
        is_static: True to run nothing.
        is_strict: True if what is inconclusive fails.
        is_explained: True to explain figures that keep to their limits too.
        timeout_s: Seconds that one process may take.
        is_silent: True to show no progress.
    """

    config: BudgetConfig
    store: Store
    against: str | None = None
    is_static: bool = False
    is_strict: bool = False
    is_explained: bool = False
    timeout_s: float = 60.0
    is_silent: bool = False


def check_budgets(models: Sequence[BudgetedModel], settings: Settings) -> BudgetReport:
    """The report on all models; one that fails is told on stderr and the others go on.

    Raises:
        RevisionError: The revision to compare with cannot be had.
    """
    from feasibility.records.budget import BudgetReport

    results: list[ModelBudget] = []
    failures: list[BudgetFailure] = []
    with _revision(settings) as revision:
        for model in models:
            try:
                results.append(_check_model(model, settings, revision))
            except FeasibilityError as error:
                failures.append(_failure(model.name, error))
            except Exception as error:  # noqa: BLE001 (one model must not take the others with it)
                failures.append(_failure(model.name, bug_error(error)))
    baseline = settings.config.baseline.name + "/"
    return BudgetReport(
        tool_version=__version__,
        config=settings.config.path.name,
        baseline=baseline if revision is None else f"{revision.name} ({revision.commit[:10]})",
        strict=settings.is_strict,
        models=tuple(results),
        errors=tuple(failures),
    )


def make_bench(model: BudgetedModel, path: Path, settings: Settings) -> Bench:
    """A bench for a model, at a path of its own where it is of another revision."""
    from feasibility.budget.bench import Bench

    return Bench(
        name=model.name,
        path=path,
        workload=model.budget.workload,
        store=settings.store,
        timeout_s=settings.timeout_s,
        is_p95_wanted="latency_p95" in model.budget.limits,
    )


def _check_model(
    model: BudgetedModel, settings: Settings, revision: Revision | None
) -> ModelBudget:
    from feasibility.budget.check import Check
    from feasibility.budget.devices import device_bound

    with progress_on(model.name, quiet=settings.is_silent) as progress:
        bench = make_bench(model, model.path, settings)
        # The digest reads all of the model, which static budgets have no use for.
        if not settings.is_static:
            bench.open()
        check = Check(
            model=model,
            bench=bench,
            baseline=_baseline(model, settings, revision),
            bound_of=device_bound,
            judge_device=functools.partial(_judge_device, bench, settings),
            reference=_reference(model, settings),
            may_trust_times=settings.config.is_dedicated,
            is_static=settings.is_static,
            progress=progress,
        )
        return check.run(is_explained=settings.is_explained)


def _reference(model: BudgetedModel, settings: Settings) -> Bench | None:
    """The model whose outputs another has to keep to, where its budget names one."""
    rule = model.budget.drift
    if rule is None or rule.reference is None or settings.is_static:
        return None
    bench = make_bench(model, settings.config.folder / rule.reference, settings)
    bench.open()
    return bench


def _baseline(model: BudgetedModel, settings: Settings, revision: Revision | None) -> Baseline:
    from feasibility.budget.baseline import read_baseline
    from feasibility.budget.check import Baseline

    if revision is None:
        snapshot = read_baseline(settings.config.baseline, model.name)
        missing = "no baseline is recorded: `feasibility budget update` records one"
        return Baseline(snapshot=snapshot, missing="" if snapshot else missing)
    path = revision.model(model.name)
    if path is None:
        return Baseline(missing=f"new: {revision.name} does not have it", is_excused=True)
    bench = make_bench(model, path, settings)
    if not settings.is_static:
        bench.open()
    return Baseline(bench=bench)


@contextlib.contextmanager
def _revision(settings: Settings) -> Iterator[Revision | None]:
    from feasibility.budget.revision import revision

    if settings.against is None:
        yield None
        return
    with revision(settings.config.folder.absolute(), settings.against) as found:
        yield found


def _judge_device(
    bench: Bench, settings: Settings, model: BudgetedModel, rule: DeviceRule
) -> BudgetLine:
    """The line on a verdict that a device has to give."""
    from feasibility.budget.config import RANKED_VERDICTS
    from feasibility.budget.devices import device_named
    from feasibility.decide.verdict import assess_device
    from feasibility.records.budget import BudgetLine

    found = assess_device(_profile(bench, model, settings), device_named(rule.device))
    accepted = RANKED_VERDICTS[: RANKED_VERDICTS.index(rule.verdict) + 1]
    outcome: Outcome = "pass" if found.verdict in accepted else "fail"
    if found.verdict == "undecided":
        outcome = "inconclusive"
    return BudgetLine(
        metric=f"devices.{rule.device}",
        limit_text=rule.verdict,
        outcome=outcome,
        reason="" if outcome == "pass" else f"{found.verdict}: {'; '.join(found.reasons[:2])}",
        line_number=rule.line,
    )


def _profile(bench: Bench, model: BudgetedModel, settings: Settings) -> Profile:
    """The whole profile of a model, kept from one check to the next."""
    from feasibility.measure.measure_model import measure_model
    from feasibility.records.profile import Profile

    known = settings.store.get("profile", bench.key, Profile)
    if known is not None:
        return known
    with progress_on(model.name, quiet=settings.is_silent) as progress:
        profile = measure_model(model.path, bench.options, progress)
    settings.store.put("profile", bench.key, profile)
    return profile


def _failure(name: str, error: FeasibilityError) -> BudgetFailure:
    from feasibility.records.budget import BudgetFailure

    sys.stdout.flush()
    report_error(error)
    return BudgetFailure(model=name, message=error.message, hint=error.hint)


def is_up_to_date(bench: Bench, folder: Path) -> bool:
    """Whether the recorded baseline is of this very model under the conditions of now."""
    from feasibility.budget.baseline import read_baseline
    from feasibility.errors import DocumentError

    try:
        recorded = read_baseline(folder, bench.name)
    except DocumentError:
        return False
    return (
        recorded is not None
        and recorded.digest == bench.digest
        and recorded.conditions == bench.conditions
    )


def propose_budgets(
    models: Sequence[Path],
    config: Path,
    workload: BudgetedWorkload,
    headroom_ratio: float,
    *,
    store: Store,
    timeout_s: float,
    is_silent: bool,
) -> str:
    """The text of a budget file for models, whose baselines are recorded beside it.

    Raises:
        FeasibilityError: A model cannot be measured, or does not lie below the budget file.
    """
    from feasibility.budget.baseline import write_baseline
    from feasibility.budget.bench import Bench
    from feasibility.budget.config import DEFAULT_BASELINE
    from feasibility.budget.matching import name_below
    from feasibility.budget.propose import propose_toml
    from feasibility.budget.record import record

    folder = config.absolute().parent
    taken = []
    for path in dict.fromkeys(path.absolute() for path in models):
        bench = Bench(
            name=name_below(folder, path),
            path=path,
            workload=workload,
            store=store,
            timeout_s=timeout_s,
        )
        bench.open()
        with progress_on(path.name, quiet=is_silent) as progress:
            taken.append((record(bench, progress), workload))
        write_baseline(folder / DEFAULT_BASELINE, taken[-1][0])
    return propose_toml(taken, headroom_ratio, DEFAULT_BASELINE)
