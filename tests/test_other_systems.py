"""What works on macOS and Windows: everything that runs no model."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np

from feasibility.json_documents import encode
from feasibility.system_differences import missing_call
from tests import samples, tiny_models
from tests.other_system import run_on

_BUDGET = """
[[budget]]
model = "mlp.onnx"
file_size = "1MiB"
peak = "100MiB"
latency = "50ms"
[budget.devices]
rpi_4b = "fits"
"""
_COMMANDS = (
    "inspect mlp.onnx --json -q",
    "check --static mlp.onnx other.onnx --jobs 2 --json -q -o answer.json",
    "check answer.json --json",
    "compare profile.json profile.json --json -q",
    "devices list --json",
    "devices show rpi_5 --json",
    "budget check --static --json -q",
    "measure mlp.onnx -q",
)
_RUN = """
import contextlib, io, json, sys
from feasibility.commands.app import run
answers = []
for line in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(line.split())
    answers.append((code, out.getvalue(), err.getvalue()))
print(json.dumps(answers))
"""


def test_errors_of_arrays_are_no_missing_calls() -> None:
    """Arrays cannot be compared as a whole."""
    error = AttributeError("no such name", name="nothing", obj=np.zeros(3))
    assert missing_call(error) is None
    assert missing_call(AttributeError("fork", name="fork", obj=os)) is not None


def test_what_runs_no_model_works_on_windows(tmp_path: Path) -> None:
    """Without memray, a runtime, fork, fcntl, resource, /proc and more; `measure` says so."""
    for stem in ("mlp", "other"):
        tiny_models.mlp(tmp_path / f"{stem}.onnx", width=128)
    (tmp_path / "profile.json").write_bytes(encode(samples.profile()))
    (tmp_path / "feasibility.toml").write_text(_BUDGET)
    done = run_on("Windows", tmp_path / "start", "-c", _RUN, json.dumps(_COMMANDS), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    answers = dict(zip(_COMMANDS, json.loads(done.stdout), strict=True))
    documents = {}
    for command in _COMMANDS[:-1]:
        code, out, err = answers[command]
        assert (command, code, err) == (command, 0, "")
        documents[command.split(" --")[0]] = json.loads(out)
    assert documents["inspect mlp.onnx"]["modelled_memory"][0]["isa"] == "x86_64"
    assert documents["check"] == documents["check answer.json"]
    assert [model["profile"]["model"]["name"] for model in documents["check"]["models"]] == [
        "mlp.onnx",
        "other.onnx",
    ]
    (budget,) = documents["budget check"]["models"]
    assert {line["metric"]: line["outcome"] for line in budget["lines"]} == {
        "file_size": "pass",
        "peak": "pass",
        "latency": "skipped",
        "devices.rpi_4b": "pass",
    }
    code, out, err = answers["measure mlp.onnx -q"]
    assert (code, out) == (2, "")
    assert err.startswith("error: Cannot measure on Windows: ")
    assert "`check --static`" in err


def test_python_functions_work_on_macos(tmp_path: Path) -> None:
    tiny_models.mlp(tmp_path / "mlp.onnx")
    code = """
import feasibility
print(feasibility.check("mlp.onnx", static=True, device="rpi_5").models[0].devices[0].verdict)
feasibility.measure("mlp.onnx")
"""
    done = run_on("Darwin", tmp_path / "start", "-c", code, cwd=tmp_path)
    assert done.stdout == "fits\n"
    assert "HostError: Cannot measure on macOS: " in done.stderr


def test_the_program_starts_without_linux_signals(tmp_path: Path) -> None:
    done = run_on("Windows", tmp_path / "start", "-m", "feasibility", "--version", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
