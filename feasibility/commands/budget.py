"""What does `feasibility budget` do? Checks, records and proposes budgets of models."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, TypeAlias

from feasibility.commands.option_groups import CommandApp, argument, option, single_option
from feasibility.commands.options import (
    MEASURING,
    DimOption,
    ForceOption,
    OutputOptions,
    ProviderOption,
    QuietOption,
    ThreadsOption,
    TimeoutOption,
    parse_dims,
)
from feasibility.commands.output import open_output, open_outputs, write_bytes
from feasibility.commands.progress import progress_on
from feasibility.commands.report_error import report_failure
from feasibility.errors import EXIT_CANNOT_DO, EXIT_OK, EXIT_REQUIREMENT_NOT_MET, UsageError
from feasibility.text import safe_text

if TYPE_CHECKING:
    from feasibility.budget.budget_file import BudgetConfig
    from feasibility.reading_cache import ReadingCache
    from feasibility.records.budget import BudgetReport

app = CommandApp(no_args_is_help=True)

ConfigOption: TypeAlias = Annotated[
    Path | None,
    single_option(
        "--config -c FILE", "Budget file; default: the nearest feasibility.toml or pyproject.toml."
    ),
]
ModelsArgument: TypeAlias = Annotated[
    list[Path] | None, argument("MODEL", "Models; default: all in the budget file.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeOptions:
    """What is checked, and how strictly."""

    heading: ClassVar = "What to check"

    config: ConfigOption = None
    against: str | None = option(
        "--against REV",
        "Compare with this Git revision: its models and the current ones are measured now, "
        "alternating; saved profiles are not used.",
    )
    static: bool = option(
        "--static",
        "Run nothing: check sizes, FLOPs, operators, and modelled memory and times only.",
        default=False,
    )
    strict: bool = option("--strict", "Fail on undecided limits too.", default=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckMeasuringOptions:
    """How models are measured."""

    heading: ClassVar = MEASURING

    no_cache: bool = option("--no-cache", "Measure unchanged models again.", default=False)
    timeout: TimeoutOption = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOutputOptions(OutputOptions):
    """Where the report goes, and what it shows."""

    explain: bool = option(
        "--explain", "Show all limits and all changes from the baseline.", default=False
    )
    format_: list[str] | None = option(
        "--format NAME[=FILE]",
        "github, gitlab, junit, sarif, markdown or json; into FILE, or on stdout instead of the "
        "table; repeatable.",
    )


@app.callback()
def budget() -> None:
    """Check models against memory, size and latency budgets, for example in CI."""


@app.add_command()
def check(
    models: ModelsArgument = None,
    *,
    scope: ScopeOptions,
    measuring: CheckMeasuringOptions,
    out: CheckOutputOptions,
) -> int:
    """Check models against their budgets.

    The exit code is 1 if a budget is broken, and 2 if a model could not be checked. Noise
    alone never causes exit code 1.
    """
    from feasibility.budget.budgeted_models import budgeted_models
    from feasibility.budget.check_models import CheckSettings, check_models
    from feasibility.commands.budget_formats import parse_targets, write_report

    targets = parse_targets(out.format_, as_json=out.json)
    budgets = _config(scope.config)
    chosen = budgeted_models(budgets, models or ())
    settings = CheckSettings(
        config=budgets,
        cache=_cache(is_used=not measuring.no_cache),
        report_failure=report_failure,
        progress_of=partial(progress_on, quiet=out.quiet),
        against=scope.against,
        is_static=scope.static,
        is_strict=scope.strict,
        is_explained=out.explain,
        timeout_s=measuring.timeout,
    )
    with open_outputs(out.output, out.html, force=out.force) as files:
        report = check_models(chosen, settings)
        write_report(report, targets, output=files, all_lines=out.explain)
    return _exit_code(report)


@app.add_command()
def update(
    models: ModelsArgument = None,
    *,
    config: ConfigOption = None,
    force: Annotated[bool, single_option("--force", "Measure unchanged models again.")] = False,
    timeout: TimeoutOption = 60.0,
    quiet: QuietOption = False,
) -> None:
    """Record baselines for limits such as +5%.

    A baseline has the figures of one model. Writes one file per model, except for unchanged
    models. Commit these files.
    """
    from feasibility.budget.baseline import baseline_path, record_baseline, write_baseline
    from feasibility.budget.budgeted_models import budgeted_models
    from feasibility.budget.check_models import is_up_to_date, model_under_test
    from feasibility.render.reports.sections import name_text

    budgets = _config(config)
    for model in budgeted_models(budgets, models or ()):
        tested = model_under_test(model, model.path, _cache(is_used=not force), timeout)
        tested.open()
        path = baseline_path(budgets.baseline, model.name)
        outcome = "up to date"
        if force or not is_up_to_date(tested, budgets.baseline):
            with progress_on(model.name, quiet=quiet) as progress:
                path = write_baseline(budgets.baseline, record_baseline(tested, progress))
            outcome = "written"
        write_bytes(f"{name_text(str(path), 200)}: {outcome}\n".encode())


@app.add_command()
def init(
    models: Annotated[list[Path], argument("MODEL", "Models to set budgets for.")],
    *,
    output: Annotated[Path, single_option("--output -o FILE", "Budget file to write.")] = Path(
        "feasibility.toml"
    ),
    headroom: Annotated[
        str, single_option("--headroom PERCENT", "Margin above measured values.")
    ] = "25%",
    dim: DimOption = None,
    threads: ThreadsOption = 1,
    provider: ProviderOption = "cpu",
    timeout: TimeoutOption = 60.0,
    force: ForceOption = False,
    quiet: QuietOption = False,
) -> None:
    """Measure models, add a margin, and write a budget file.

    The file has a comment per limit. The baselines of the models are written beside it.
    """
    from feasibility.budget.budget_file import DEFAULT_BASELINE, BudgetedWorkload
    from feasibility.budget.propose_budgets import propose_budgets
    from feasibility.render.reports.sections import name_text

    workload = BudgetedWorkload(dims=parse_dims(dim), threads=threads, provider=provider)
    ratio = _headroom_ratio(headroom)
    with open_output(output, force=force) as file:
        assert file is not None
        text = propose_budgets(
            models,
            output,
            workload,
            ratio,
            cache=_cache(),
            timeout_s=timeout,
            progress_of=partial(progress_on, quiet=quiet),
        )
        file.write(text.encode())
    write_bytes(
        f"{name_text(str(output), 200)} and {DEFAULT_BASELINE}/ written: review and commit "
        "them, then run `feasibility budget check`\n".encode()
    )


def _config(path: Path | None) -> BudgetConfig:
    from feasibility.budget.budget_file import find_config, read_config

    return read_config(find_config(Path.cwd()) if path is None else path)


def _cache(*, is_used: bool = True) -> ReadingCache:
    from feasibility.reading_cache import NO_CACHE, user_cache

    return user_cache("budget") if is_used else NO_CACHE


def _headroom_ratio(text: str) -> float:
    number = text.strip().removesuffix("%").strip()
    if not number.isdecimal():
        raise UsageError(
            f"Cannot read --headroom {safe_text(text)}",
            "it must be a whole number of percent",
            "write for example --headroom 25%",
        )
    return int(number) / 100


def _exit_code(report: BudgetReport) -> int:
    if report.errors:
        return EXIT_CANNOT_DO
    return EXIT_REQUIREMENT_NOT_MET if report.is_broken else EXIT_OK
