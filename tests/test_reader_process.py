"""A file is read in a fork that a hostile file can neither hang nor take this process with."""

from __future__ import annotations

import ast
import ctypes
import faulthandler
import gc
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread

import onnx
import pytest

from feasibility.errors import HostError, InputError, ModelError
from feasibility.facts import model_facts, reader_process
from feasibility.facts.reader_process import in_reader_process
from feasibility.units import MIB
from tests.analysis_models import FLOAT, model, node
from tests.cli import Result, cli
from tests.test_layers import MODULES, imported_modules
from tests.tiny_models import mlp

__all__ = ["cli"]
WHAT = "Cannot read model 'a.onnx'"


def children() -> list[str]:
    """Processes that this one started and that are still there, zombies too."""
    text = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    return text.split()


def open_files() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def hang() -> str:
    """Never returns, and holds Python's lock, as C++ code does."""
    re.match("(a+)+$", 60 * "a" + "b")
    return ""


def crash() -> str:
    faulthandler.disable()
    ctypes.string_at(0)
    return ""


def allocate() -> str:
    kept = []
    while True:
        kept.append(bytearray(16 * MIB))


def test_the_result_comes_back() -> None:
    assert in_reader_process(lambda: ("a", 2), tuple[str, int], WHAT) == ("a", 2)
    assert children() == []


def test_a_large_result_comes_back_while_this_process_is_busy() -> None:
    text = in_reader_process(lambda: 3_000_000 * "x", str, WHAT, meanwhile=lambda: time.sleep(0.1))
    assert len(text) == 3_000_000


def test_an_error_comes_back_as_itself() -> None:
    def fail() -> str:
        raise InputError("Cannot set the dim 'q'", "there is none", "see inspect")

    with pytest.raises(InputError) as caught:
        in_reader_process(fail, str, WHAT)
    assert (caught.value.what, caught.value.why, caught.value.hint) == (
        "Cannot set the dim 'q'",
        "there is none",
        "see inspect",
    )
    assert "in fail" in str(caught.value.__cause__)


def test_a_fault_of_the_disk_comes_back_as_one() -> None:
    def fail() -> str:
        raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output error") as caught:
        in_reader_process(fail, str, WHAT)
    assert caught.value.errno == 5


def test_a_bug_is_not_taken_for_a_fault_of_the_model() -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError: ") as caught:
        in_reader_process(lambda: str(1 // 0), str, WHAT)
    assert "Traceback" in str(caught.value.__cause__)


@pytest.mark.parametrize(
    ("read", "why"),
    [
        (hang, r"reading took more than 0\.3 s and was stopped"),
        (crash, r"the process reading it crashed \(SIGSEGV\)"),
        (lambda: os._exit(3), "the process reading it ended with exit code 3"),
    ],
    ids=["hang", "crash", "exit"],
)
def test_what_cannot_be_read_is_an_error(read: Callable[[], str], why: str) -> None:
    with pytest.raises(ModelError, match=why) as caught:
        in_reader_process(read, str, WHAT, timeout_s=0.3 if read is hang else 10.0)
    assert caught.value.what == WHAT
    assert "export the model again" in caught.value.hint
    assert children() == []


def test_objects_of_this_process_are_not_destroyed_in_the_fork() -> None:
    """A session of ONNX Runtime would wait for its threads, which are not there."""

    class Session:
        def __init__(self) -> None:
            self.cycle = self
            self.process_id = os.getpid()

        def __del__(self) -> None:
            if os.getpid() != self.process_id:
                os._exit(3)

    Session()
    assert in_reader_process(lambda: gc.collect() >= 0, bool, WHAT)


def test_memory_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_process, "MEMORY_BYTES", 64 * MIB)
    with pytest.raises(ModelError, match="takes more than 64 MiB of memory"):
        in_reader_process(allocate, str, WHAT)


def test_a_process_that_cannot_be_started_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refuse)
    before = open_files()
    with pytest.raises(HostError, match="no process can be started"):
        in_reader_process(lambda: "", str, WHAT)
    assert open_files() == before


def test_threads_of_this_process_do_not_matter() -> None:
    ended = Event()
    thread = Thread(target=ended.wait)
    thread.start()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert in_reader_process(lambda: "x", str, WHAT) == "x"
    finally:
        ended.set()
        thread.join()


def test_no_handler_and_no_clean_up_of_this_process_runs_in_the_fork(tmp_path: Path) -> None:
    def note(_number: int, _frame: object) -> None:
        (tmp_path / "handled").touch()

    def interrupted() -> str:
        os.kill(os.getpid(), signal.SIGTERM)
        return ""

    before = signal.signal(signal.SIGTERM, note)
    try:
        with pytest.raises(ModelError, match="SIGTERM"):
            in_reader_process(interrupted, str, WHAT)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert not (tmp_path / "handled").exists()


def test_output_of_the_fork_is_not_shown(capfd: pytest.CaptureFixture[str]) -> None:
    def chatter() -> str:
        os.write(1, b"out")
        os.write(2, b"err")
        return ""

    in_reader_process(chatter, str, WHAT)
    assert capfd.readouterr() == ("", "")


# A reader that hangs, in a process that is about to be ended.
HANGING = """
import os, re, sys
from feasibility.facts.reader_process import in_reader_process
def hang():
    with open(sys.argv[1], "w") as file:
        file.write(str(os.getpid()))
    re.match("(a+)+$", 60 * "a" + "b")
try:
    in_reader_process(hang, str, "Cannot read")
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_the_fork_ends_with_this_process(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C reaches this process although the fork does not hear it; `kill -9` needs nobody."""
    note = tmp_path / "id"
    process = subprocess.Popen([sys.executable, "-c", HANGING, note])
    try:
        wait_until(lambda: note.exists() and note.read_text() != "")
        time.sleep(0.1)
        process.send_signal(number)
        assert process.wait(10) == (130 if number == signal.SIGINT else -number)
        reader = Path(f"/proc/{note.read_text()}/stat")
        wait_until(lambda: not reader.exists() or reader.read_text().split()[2] == "Z")
    finally:
        process.kill()
        process.wait()


def wait_until(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_hang_in_the_code_of_onnx_is_ended() -> None:
    """The equation sends the shape inference of onnx 1.20 into an endless loop in C++."""
    item = node("Einsum", "x", "y", equation="...ii \0>...i")
    made = model([item], {"x": (FLOAT, [3, 5, 5])}, ["y"])

    def infer() -> str:
        onnx.shape_inference.infer_shapes(made)
        raise ModelError(WHAT, "this onnx took more than no time", "")

    with pytest.raises(ModelError, match="took more than"):
        in_reader_process(infer, str, WHAT, timeout_s=0.5)


@pytest.mark.parametrize("command", ["inspect", "measure", "check"])
@pytest.mark.parametrize(
    ("fault", "said"),
    [(hang, "took more than 0.5 s"), (crash, "crashed (SIGSEGV)"), (allocate, "of memory")],
    ids=["hang", "crash", "allocate"],
)
def test_a_command_that_cannot_read_a_model_says_so(
    cli: Callable[..., Result],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    fault: Callable[[], str],
    said: str,
) -> None:
    path = mlp(tmp_path / "m.onnx")
    monkeypatch.setattr(model_facts, "skeleton_of", lambda _file: fault())
    monkeypatch.setattr(reader_process, "MEMORY_BYTES", 64 * MIB)
    monkeypatch.setattr("feasibility.facts.read_model._LEAST_TIMEOUT_S", 0.5)
    monkeypatch.setattr("feasibility.facts.read_model.READ_TIMEOUT_S", 0.5)
    options = [] if command == "inspect" else ["--timeout", "0.5"]
    result = cli(command, path, "--quiet", *options)
    assert (result.code, result.out if command != "check" else "") == (2, "")
    assert "Cannot read model" in result.err
    assert said in result.err
    assert "hint: " in result.err


# Packages whose code runs in the fork, and the modules that call it.
IN_FORK = ("graph", "ort_memory", "facts", "model_file.skeleton", "rewrite.forked")
FRONT = {
    "facts.answer_request",
    "facts.read_model",
    "facts.reader_process",
    "facts.reader_reply",
    "facts.spawned_reader",
    "rewrite.drifting_node",
    "rewrite.external_weights",
    "rewrite.rewrite_model",
}
# These only write models of their own.
WRITERS = {"zoo.onnx_file", "zoo.network", "zoo.single_operator_networks", "measure.gpu_pass"}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_models_are_read_in_the_fork_only(module: str) -> None:
    """What runs onnx on a file is imported by `facts.read_model`, inside its functions."""
    if module.startswith(IN_FORK) and module not in FRONT:
        return
    path = MODULES[module]
    names = set(imported_modules(path) if module not in FRONT else at_the_top(path))
    readers = {
        name
        for name in (name.removeprefix("feasibility.") for name in names)
        if name in MODULES and name.startswith(IN_FORK) and name not in FRONT
    }
    assert {name for name in readers if MODULES[name].name != "__init__.py"} == set()
    uses_onnx = any(name.split(".")[0] == "onnx" for name in names)
    assert not uses_onnx or module in WRITERS or module.startswith("model_file")


def at_the_top(path: Path) -> Iterator[str]:
    for item in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(item, ast.ImportFrom):
            assert item.module is not None
            yield item.module
            yield from (f"{item.module}.{alias.name}" for alias in item.names)


def test_one_model_is_inspected_without_onnx_in_this_process(tmp_path: Path) -> None:
    code = """
import sys
from feasibility.commands.app import run
run(["inspect", sys.argv[1], "--quiet"])
print({"onnx", "google", "numpy"}.intersection(sys.modules))
"""
    path = mlp(tmp_path / "m.onnx")
    result = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines()[-1] == "set()"
