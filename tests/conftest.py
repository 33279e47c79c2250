"""One terminal for all tests: 80 columns, no colour, whatever the machine has set."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# The machine may be busy with other things; how long an example takes says nothing.
settings.register_profile("feasibility", deadline=None)
settings.load_profile("feasibility")
# A shell starts background jobs with Ctrl-C switched off, and children would inherit this.
for number, handler in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)

_TERMINAL_VARIABLES = (
    "NO_COLOR",
    "FORCE_COLOR",
    "TTY_COMPATIBLE",
    "TTY_INTERACTIVE",
    "FEASIBILITY_TRACEBACK",
)


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in _TERMINAL_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.fixture(scope="session", autouse=True)
def few_children() -> Iterator[None]:
    """Measure a range of memory with as few children as possible; more only add precision."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("feasibility.measure.default_allocator_range._TIME_NS", 0)
        yield


@pytest.fixture
def nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child process that starts fails the test."""
    monkeypatch.setattr(
        "feasibility.runners.child_process._started",
        lambda _: pytest.fail("a model was run"),
    )


@pytest.fixture(scope="session")
def zoo_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Architectures, each built by the first test that needs it.

    They take 1 GB on disk, which pytest would otherwise keep for three sessions.
    """
    path = tmp_path_factory.mktemp("zoo")
    yield path
    shutil.rmtree(path)
