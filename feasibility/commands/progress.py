"""How is progress shown on stderr while a command works?"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final, NoReturn

from feasibility.commands.report_error import report_failure
from feasibility.errors import FeasibilityError
from feasibility.measure.measure_options import (
    Progress,
    ProgressOf,
    no_progress,
    no_progress_of,
)
from feasibility.text import safe_text

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

    from feasibility.records.assessment import ModelAssessment

# A bar for shorter work would only flicker.
_DELAY_S: Final = 0.4
_NAME_LIMIT: Final = 32


def _raise(error: Exception) -> NoReturn:
    raise error


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Receives events of the work on several models. By default, it ignores them and raises errors.

    Args:
        failed: Called with the exception of a failed model; returns it as an error of this tool.
        assessed: Called with each model that is done.
    """

    progress_of: ProgressOf = no_progress_of
    failed: Callable[[Exception], FeasibilityError] = _raise
    assessed: Callable[[ModelAssessment], None] = lambda _: None


def watch_on_stderr(*, quiet: bool) -> Watch:
    """Shows progress, errors, and the recommendation for each model; if quiet, only errors."""
    from feasibility.render.reports.check import headline

    def show(model: ModelAssessment) -> None:
        report_step(model.profile.model.name, headline(model)[0])

    watch = Watch(progress_of=partial(progress_on, quiet=quiet), failed=report_failure)
    return watch if quiet else replace(watch, assessed=show)


@contextlib.contextmanager
def progress_on(subject: str, *, quiet: bool) -> Iterator[Progress]:
    """A callback for steps of work: number of done steps, of all steps, name of the current step.

    The number of all steps is 0 if it is not known.

    A terminal shows a bar that disappears at the end, other streams one line per step;
    quiet shows nothing.
    """
    name = safe_text(subject, _NAME_LIMIT)
    if quiet:
        yield no_progress
    elif sys.stderr.isatty():
        with _bar(name) as progress:
            yield progress
    else:
        yield _lines(name)


def report_step(subject: str, text: str) -> None:
    """Print what was found about one of several subjects, so that a long call shows results."""
    sys.stderr.write(f"{safe_text(subject, _NAME_LIMIT)}: {safe_text(text, 400)}\n")
    sys.stderr.flush()


def _lines(name: str) -> Progress:
    """Prints one line per step, each step name once."""
    shown: set[str] = set()

    def progress(done: int, total: int, doing: str) -> None:
        if (done < total or not total) and doing and doing not in shown:
            shown.add(doing)
            step = f" ({done + 1} of {total})" if total > 1 else ""
            sys.stderr.write(f"{name}: {safe_text(doing)}{step}\n")
            sys.stderr.flush()

    return progress


@contextlib.contextmanager
def _bar(name: str) -> Iterator[Progress]:
    bar = _make_bar()
    task = bar.add_task(name, total=None, doing="")
    timer = threading.Timer(_DELAY_S, bar.start)
    timer.daemon = True
    timer.start()

    def progress(done: int, total: int, doing: str) -> None:
        bar.update(task, completed=done, total=total or None, doing=safe_text(doing, _NAME_LIMIT))

    try:
        yield progress
    finally:
        timer.cancel()
        timer.join()
        bar.stop()


def _make_bar() -> RichProgress:
    from rich.console import Console
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as RichProgress

    return RichProgress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=16),
        TextColumn("{task.fields[doing]}", markup=False),
        TimeElapsedColumn(),
        console=Console(file=sys.stderr, highlight=False, markup=False, emoji=False),
        transient=True,
    )
