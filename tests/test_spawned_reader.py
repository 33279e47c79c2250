"""Where processes cannot be forked, a file is read by a new process with the same limits."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from feasibility.errors import HostError, InputError, ModelError
from feasibility.facts import read_model as module
from feasibility.facts import spawned_reader
from feasibility.facts.read_model import external_locations, read_model
from feasibility.facts.spawned_reader import in_spawned_reader
from feasibility.records.model_reading import ModelReading, ReadRequest
from feasibility.units import MIB
from tests import tiny_models

WHAT = "Cannot read model 'a.onnx'"


def _read(code: str, monkeypatch: pytest.MonkeyPatch, timeout_s: float = 20.0) -> ModelReading:
    """What is read by a process that runs this code."""

    def start(_: str) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        return subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe)

    monkeypatch.setattr(spawned_reader, "_started", start)
    monkeypatch.setattr(spawned_reader, "_POLL_S", 0.02)
    request = ReadRequest(path=b"a.onnx", timeout_s=timeout_s)
    return in_spawned_reader(request, ModelReading, WHAT, meanwhile=lambda: None)


def test_it_reads_what_a_fork_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tiny_models.mlp(tmp_path / "mlp.onnx", batch="batch")
    forked = read_model(path, dims={"batch": 3}, with_plans=True)
    monkeypatch.setattr(module, "CAN_FORK", False)
    assert read_model(path, dims={"batch": 3}, with_plans=True) == forked
    assert external_locations(path) == ()
    with pytest.raises(InputError, match="Cannot set the dim 'other'"):
        read_model(path, dims={"other": 3})


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("import time; time.sleep(60)", r"reading took more than 0\.3 s and was stopped"),
        ("import os; os.abort()", r"the process reading it crashed \(SIGABRT\)"),
        ("raise SystemExit(3)", "the process reading it ended with exit code 3"),
    ],
)
def test_what_cannot_be_read_is_an_error(
    monkeypatch: pytest.MonkeyPatch, code: str, why: str
) -> None:
    started = time.monotonic()
    with pytest.raises(ModelError, match=why):
        _read(code, monkeypatch, timeout_s=0.3 if "sleep" in code else 20.0)
    assert time.monotonic() - started < 30


def test_memory_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spawned_reader, "MEMORY_BYTES", 64 * MIB)
    code = "import time; kept = bytes(range(256)) * 1_000_000; time.sleep(60)"
    with pytest.raises(ModelError, match="takes more than 64 MiB of memory"):
        _read(code, monkeypatch)


def test_a_process_that_cannot_be_started_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", os.devnull)
    request = ReadRequest(path=b"a.onnx", timeout_s=1.0)
    with pytest.raises(HostError, match="no process can be started"):
        in_spawned_reader(request, ModelReading, WHAT, meanwhile=lambda: None)
