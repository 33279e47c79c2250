"""`feasibility budget`: what models may cost, and whether they keep to it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from feasibility.commands.options import (
    DimOption,
    ForceOption,
    JsonOption,
    OutputOption,
    ProviderOption,
    QuietOption,
    ThreadsOption,
    TimeoutOption,
    parse_dims,
)
from feasibility.errors import EXIT_CANNOT_DO, EXIT_OK, EXIT_REQUIREMENT_NOT_MET

if TYPE_CHECKING:
    from feasibility.budget.config import BudgetConfig
    from feasibility.budget.store import Store
    from feasibility.records.budget import BudgetReport

app = typer.Typer(rich_markup_mode=None, add_completion=False, no_args_is_help=True)

ConfigOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="The budget file; the nearest feasibility.toml or pyproject.toml if left out.",
    ),
]
ModelsArgument: TypeAlias = Annotated[
    list[Path] | None,
    typer.Argument(metavar="MODEL...", show_default=False, help="Only these models."),
]


@app.callback()
def budget() -> None:
    """Say what models may cost, and hold them to it in CI."""


@app.command()
def check(
    models: ModelsArgument = None,
    *,
    config: ConfigOption = None,
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            metavar="REV",
            help="Compare with a git revision, both measured now in turns, not with the profiles.",
        ),
    ] = None,
    static: Annotated[
        bool, typer.Option("--static", help="Run nothing: sizes, FLOPs and operators only.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail on what is inconclusive too.")
    ] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show every limit, and what changed even if kept.")
    ] = False,
    format_: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            metavar="NAME[=FILE]",
            help="github, gitlab, junit, sarif, markdown or json, to a file or instead of the "
            "table; repeatable.",
        ),
    ] = None,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Measure unchanged models again.")
    ] = False,
    timeout: TimeoutOption = 60.0,
    json: JsonOption = False,
    output: OutputOption = None,
    force: ForceOption = False,
    quiet: QuietOption = False,
) -> int:
    """Hold models to their budgets.

    The exit code is 1 if a budget is broken, which noise alone does not do, and 2 if a
    model could not be checked.
    """
    from feasibility.budget.matching import budgeted_models
    from feasibility.commands.budget_formats import parse_targets, write_report
    from feasibility.commands.budgeting import Settings, check_budgets
    from feasibility.commands.output import open_output

    targets = parse_targets(format_, as_json=json)
    budgets = _config(config)
    chosen = budgeted_models(budgets, models or ())
    settings = Settings(
        config=budgets,
        store=_store(is_kept=not no_cache),
        against=against,
        is_static=static,
        is_strict=strict,
        is_explained=explain,
        timeout_s=timeout,
        is_silent=quiet,
    )
    with open_output(output, force=force) as file:
        report = check_budgets(chosen, settings)
        write_report(report, targets, output=file, all_lines=explain)
    return _exit_code(report)


@app.command()
def update(
    models: ModelsArgument = None,
    *,
    config: ConfigOption = None,
    force: Annotated[
        bool, typer.Option("--force", help="Measure models again that have not changed.")
    ] = False,
    timeout: TimeoutOption = 60.0,
    quiet: QuietOption = False,
) -> None:
    """Record the baselines of relative limits.

    Commit the files it writes; those of models that have not changed stay as they are.
    """
    from feasibility.budget.baseline import baseline_path, write_baseline
    from feasibility.budget.matching import budgeted_models
    from feasibility.budget.record import record
    from feasibility.commands.budgeting import Settings, is_up_to_date, make_bench
    from feasibility.commands.output import write_bytes
    from feasibility.commands.progress import progress_on
    from feasibility.render.rows.rows import name_text

    budgets = _config(config)
    settings = Settings(
        config=budgets, store=_store(is_kept=not force), timeout_s=timeout, is_silent=quiet
    )
    for model in budgeted_models(budgets, models or ()):
        bench = make_bench(model, model.path, settings)
        bench.open()
        path = baseline_path(budgets.baseline, model.name)
        told = "up to date"
        if force or not is_up_to_date(bench, budgets.baseline):
            with progress_on(model.name, quiet=quiet) as progress:
                path = write_baseline(budgets.baseline, record(bench, progress))
            told = "written"
        write_bytes(f"{name_text(str(path), 200)}: {told}\n".encode())


@app.command()
def init(
    models: Annotated[
        list[Path], typer.Argument(metavar="MODEL...", show_default=False, help="Models.")
    ],
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The budget file to write.")
    ] = Path("feasibility.toml"),
    headroom: Annotated[
        str, typer.Option("--headroom", metavar="PERCENT", help="What limits leave above figures.")
    ] = "25%",
    dim: DimOption = None,
    threads: ThreadsOption = 1,
    provider: ProviderOption = "cpu",
    timeout: TimeoutOption = 60.0,
    force: ForceOption = False,
    quiet: QuietOption = False,
) -> None:
    """Propose budgets from a measurement.

    Writes commented TOML, and the models' baselines beside it.
    """
    from feasibility.budget.config import DEFAULT_BASELINE, BudgetedWorkload
    from feasibility.commands.budgeting import propose_budgets
    from feasibility.commands.output import open_output, write_bytes
    from feasibility.render.rows.rows import name_text

    workload = BudgetedWorkload(dims=parse_dims(dim), threads=threads, provider=provider)
    ratio = _headroom_ratio(headroom)
    with open_output(output, force=force) as file:
        assert file is not None
        text = propose_budgets(
            models, output, workload, ratio, store=_store(), timeout_s=timeout, is_silent=quiet
        )
        file.write(text.encode())
    write_bytes(
        f"{name_text(str(output), 200)} and {DEFAULT_BASELINE}/ written: look at them, commit "
        "them, then run `feasibility budget check`\n".encode()
    )


def _config(path: Path | None) -> BudgetConfig:
    from feasibility.budget.config import find_config, read_config

    return read_config(find_config(Path.cwd()) if path is None else path)


def _store(*, is_kept: bool = True) -> Store:
    from feasibility.budget.store import NO_STORE, default_store

    return default_store() if is_kept else NO_STORE


def _headroom_ratio(text: str) -> float:
    from feasibility.errors import UsageError
    from feasibility.text import safe_text

    number = text.strip().removesuffix("%").strip()
    if not number.isdecimal():
        raise UsageError(
            f"Cannot read --headroom {safe_text(text)}",
            "it is no whole number of percent",
            "write for example --headroom 25%",
        )
    return int(number) / 100


def _exit_code(report: BudgetReport) -> int:
    if report.errors:
        return EXIT_CANNOT_DO
    return EXIT_REQUIREMENT_NOT_MET if report.is_broken else EXIT_OK
