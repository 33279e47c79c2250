"""pytest plugin: `@pytest.mark.model_budget` and the `feasibility` fixture.

It does nothing, and imports nothing that takes time, until a test uses one of them. Tests
measure one after the other, also where pytest-xdist runs several at once.
"""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import pytest

from feasibility.errors import FeasibilityError, UsageError
from feasibility.text import safe_text

if TYPE_CHECKING:
    from feasibility.budget.budget_file import Budget
    from feasibility.budget.budgeted_models import BudgetedModel
    from feasibility.budget.check_models import CheckSettings
    from feasibility.records.budget import BudgetReport
    from feasibility.records.profile import Profile

MARKER: Final = "model_budget"
# Users of profilers complain of failures that scroll the terminal away.
MAX_FAILURE_LINES: Final = 30

Measure: TypeAlias = Callable[..., "Profile"]

_PROPERTY: Final = "model_budget"
_SECTION: Final = "model budgets"
_WORKLOAD_KEYS: Final = ("dims", "inputs", "threads", "provider", "seed")
_OWN_KEYS: Final = ("model", "operators", "strict", *_WORKLOAD_KEYS)
_HELP: Final = (
    f'{MARKER}(model, peak="200MiB", latency="50ms", ...): fail unless the model keeps to these '
    "limits; the keys are those of a budget file, see docs/ci.md of feasibility"
)


def pytest_configure(config: pytest.Config) -> None:
    """Makes the marker known."""
    config.addinivalue_line("markers", _HELP)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Holds the models of a test's markers to their budgets before the test itself runs."""
    for marker in item.iter_markers(MARKER):
        report = _checked(item, marker)
        lines = _report_lines(report)
        item.user_properties += [(_PROPERTY, line) for line in lines]
        if report.is_broken or report.errors:
            pytest.fail("\n".join(_failure_lines(report)[:MAX_FAILURE_LINES]), pytrace=False)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Adds what became of all limits, if any test had some."""
    told = [
        value
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", None) == "call"
        for name, value in getattr(report, "user_properties", ())
        if name == _PROPERTY
    ]
    if told:
        terminalreporter.section(_SECTION)
        for line in dict.fromkeys(told):
            terminalreporter.write_line(line)


@pytest.fixture(scope="session", name="feasibility")
def feasibility_fixture(request: pytest.FixtureRequest) -> Measure:
    """Function that measures a model and returns its profile, once per session and options.

    It takes the path of the model, relative to the root folder of the tests, and the fields
    of `feasibility.measure.measure_options.MeasureOptions`, for example `dims={"batch": 4}`.
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
    """The report on one marker's model; a marker that cannot be read fails the test."""
    from feasibility.budget.check_models import check_models

    try:
        model, settings = _request(item, marker)
        with _alone():
            return check_models((model,), settings)
    except FeasibilityError as error:
        pytest.fail(str(error), pytrace=False)


def _request(item: pytest.Item, marker: pytest.Mark) -> tuple[BudgetedModel, CheckSettings]:
    from feasibility.budget.budget_file import DEFAULT_BASELINE, BudgetConfig
    from feasibility.budget.budgeted_models import BudgetedModel
    from feasibility.budget.check_models import CheckSettings
    from feasibility.budget.reading_cache import default_cache
    from feasibility.commands.progress import progress_on
    from feasibility.commands.report_error import report_failure

    root = item.config.rootpath
    keys: dict[str, Any] = {**dict(zip(("model",), marker.args, strict=False)), **marker.kwargs}
    if len(marker.args) > 1 or not isinstance(keys.get("model"), str | Path):
        raise UsageError(
            f"Cannot read the marker {MARKER}",
            "it needs one model",
            f'write @pytest.mark.{MARKER}(model="models/a.onnx", peak="200MiB")',
        )
    path = root / keys.pop("model")
    name = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
    strict = bool(keys.pop("strict", False))
    config = BudgetConfig(path=root / item.location[0], baseline=root / DEFAULT_BASELINE)
    settings = CheckSettings(
        config=config,
        cache=default_cache(),
        report_failure=report_failure,
        progress_of=partial(progress_on, quiet=True),
        is_strict=strict,
    )
    return BudgetedModel(name, path, _budget(name, keys, root)), settings


def _budget(name: str, keys: Mapping[str, Any], root: Path) -> Budget:
    """The budget that a marker's keys state.

    Raises:
        UsageError: A key means nothing, or a limit cannot be read.
    """
    from feasibility.budget.budget_file import Budget, BudgetedWorkload, OperatorRule
    from feasibility.budget.metrics import METRICS
    from feasibility.budget.parse_limit import parse_limit

    known = (*METRICS, *_OWN_KEYS)
    for key in keys:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            raise UsageError(
                f"Cannot read the marker {MARKER}",
                f"there is no key {safe_text(key)!r}",
                f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}",
            )
    workload = {key: keys[key] for key in _WORKLOAD_KEYS if key in keys}
    if "inputs" in workload:
        workload["inputs"] = root / workload["inputs"]
    return Budget(
        pattern=name,
        limits={
            metric: tuple(
                parse_limit(value, kind.unit)
                for value in (keys[metric] if isinstance(keys[metric], list) else [keys[metric]])
            )
            for metric, kind in METRICS.items()
            if metric in keys
        },
        operators=(OperatorRule(None, tuple(keys["operators"])),) if "operators" in keys else (),
        workload=BudgetedWorkload(**workload),
    )


def _report_lines(report: BudgetReport) -> list[str]:
    """One line per limit for the summary."""
    from feasibility.render.rows.budget import OUTCOME_TEXT, sentence_of
    from feasibility.render.rows.rows import name_text

    return [
        f"{OUTCOME_TEXT[line.outcome]:12} {name_text(model.model)}: {sentence_of(line)}"
        for model in report.models
        for line in model.lines
    ]


def _failure_lines(report: BudgetReport) -> list[str]:
    """The broken limits, and what accounts for them."""
    from feasibility.render.ci.problems import problems
    from feasibility.render.rows.budget import growth_cells

    lines = [problem.text for problem in problems(report) if problem.is_error]
    for model in report.models:
        for part in model.growth:
            name, before, after, change = growth_cells(part)
            compared = f"{before} -> {after}  {change}" if part.before is not None else after
            lines.append(f"  {name}: {compared}")
    return lines


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Keeps other processes of the same tests, such as xdist's workers, from measuring too."""
    from feasibility.paths import cache_dir

    try:
        import fcntl

        folder = cache_dir()
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "pytest.lock").open("w")
    except (ImportError, OSError):  # no such locks, or nowhere to keep one
        yield
        return
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
