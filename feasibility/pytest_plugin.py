"""How do tests check budgets? With `@pytest.mark.model_budget` or the `feasibility` fixture.

It imports heavy modules only when a test uses one of them. Tests measure one after the other,
also with several pytest-xdist workers.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import pytest

from feasibility.errors import FeasibilityError, UsageError

if TYPE_CHECKING:
    from feasibility.budget.budgeted_models import BudgetedModel
    from feasibility.budget.check_models import CheckSettings
    from feasibility.records.budget import BudgetReport
    from feasibility.records.profile import Profile

MARKER: Final = "model_budget"
# Longer failures would push the rest of the test report off the screen.
MAX_FAILURE_LINES: Final = 30

Measure: TypeAlias = Callable[..., "Profile"]

_PROPERTY: Final = "model_budget"
_SECTION: Final = "model budgets"
_HELP: Final = (
    f'{MARKER}(model, peak="200MiB", latency="50ms", ...): fail unless the model keeps to these '
    "limits; the keys are those of a budget file, see docs/ci.md of feasibility"
)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", _HELP)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Check the models of a test's markers before the test runs."""
    for marker in item.iter_markers(MARKER):
        report = _checked(item, marker)
        lines = _report_lines(report)
        item.user_properties += [(_PROPERTY, line) for line in lines]
        if report.is_broken or report.errors:
            pytest.fail("\n".join(_failure_lines(report)[:MAX_FAILURE_LINES]), pytrace=False)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Add one line per limit to the summary if any test has budgets."""
    lines = [
        value
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", None) == "call"
        for name, value in getattr(report, "user_properties", ())
        if name == _PROPERTY
    ]
    if lines:
        terminalreporter.section(_SECTION)
        for line in dict.fromkeys(lines):
            terminalreporter.write_line(line)


@pytest.fixture(scope="session", name="feasibility")
def feasibility_fixture(request: pytest.FixtureRequest) -> Measure:
    """Function that measures a model and returns its profile, once per session and options.

    Its arguments are the path of the model, relative to the root folder of the tests, and the
    fields of `feasibility.measure.measure_options.MeasureOptions`, for example `dims={"batch": 4}`.
    """
    known: dict[tuple[Path, str], Profile] = {}

    def measure(model: str | Path, **options: Any) -> Profile:
        path = request.config.rootpath / model
        key = path, repr(sorted(options.items()))
        if key not in known:
            from feasibility.measure.measure_model import measure_model
            from feasibility.measure.measure_options import MeasureOptions

            with _alone():
                known[key] = measure_model(path, MeasureOptions(**options))
        return known[key]

    return measure


def _checked(item: pytest.Item, marker: pytest.Mark) -> BudgetReport:
    """The report on one marker's model; a marker that is not valid fails the test."""
    from feasibility.budget.check_models import check_models

    try:
        model, settings = _request(item, marker)
        with _alone():
            return check_models((model,), settings)
    except FeasibilityError as error:
        pytest.fail(str(error), pytrace=False)


def _request(item: pytest.Item, marker: pytest.Mark) -> tuple[BudgetedModel, CheckSettings]:
    from feasibility.budget.budget_file import (
        DEFAULT_BASELINE,
        BudgetConfig,
        MarkerTable,
        budget_of,
    )
    from feasibility.budget.budgeted_models import BudgetedModel
    from feasibility.budget.check_models import CheckSettings
    from feasibility.commands.progress import progress_on
    from feasibility.commands.report_error import report_failure
    from feasibility.reading_cache import user_cache

    root = item.config.rootpath
    keys: dict[str, Any] = {**dict(zip(("model",), marker.args, strict=False)), **marker.kwargs}
    if len(marker.args) > 1 or not isinstance(keys.get("model"), str | Path):
        raise UsageError(
            f"Cannot read the marker {MARKER}",
            "it needs one model",
            f'write @pytest.mark.{MARKER}(model="models/a.onnx", peak="200MiB")',
        )
    path = root / keys["model"]
    keys["model"] = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
    is_strict = bool(keys.pop("strict", False))
    file, line, _ = item.location
    # TOML has texts and lists where Python also has paths and tuples.
    values = {
        key: list(value) if isinstance(value, tuple) else value for key, value in keys.items()
    }
    values |= {"inputs": str(root / keys["inputs"])} if "inputs" in keys else {}
    budget = budget_of(MarkerTable(str(file), values, {(): (line or 0) + 1}))
    settings = CheckSettings(
        config=BudgetConfig(path=root / file, baseline=root / DEFAULT_BASELINE),
        cache=user_cache("budget"),
        report_failure=report_failure,
        progress_of=partial(progress_on, quiet=True),
        is_strict=is_strict,
    )
    return BudgetedModel(keys["model"], path, budget), settings


def _report_lines(report: BudgetReport) -> list[str]:
    """One line per limit, for the summary."""
    from feasibility.render.reports.budget import OUTCOME_TEXT, sentence_of
    from feasibility.render.reports.sections import name_text

    return [
        f"{OUTCOME_TEXT[line.outcome]:12} {name_text(model.model)}: {sentence_of(line)}"
        for model in report.models
        for line in model.lines
    ]


def _failure_lines(report: BudgetReport) -> list[str]:
    """The broken limits and the growth that explains them."""
    from feasibility.render.ci.problems import problems
    from feasibility.render.reports.budget import growth_cells

    lines = [problem.text for problem in problems(report) if problem.is_error]
    for model in report.models:
        for part in model.growth:
            name, before, after, change = growth_cells(part)
            compared = f"{before} -> {after}  {change}" if part.before is not None else after
            lines.append(f"  {name}: {compared}")
    return lines


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Keep other processes, such as xdist workers, from measuring at the same time."""
    from feasibility.paths import cache_dir

    try:
        import fcntl

        folder = cache_dir()
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "pytest.lock").open("w")
    except (ImportError, OSError):  # no file locks on this system, or no cache folder
        yield
        return
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
