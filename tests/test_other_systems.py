"""What works on macOS and Windows: everything that runs no model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from feasibility.json_documents import encode
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
    "inspect damaged.onnx -q",
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
import feasibility
verdict = feasibility.check("mlp.onnx", static=True, device="rpi_5").models[0].devices[0].verdict
print(json.dumps([answers, verdict]))
"""


@pytest.mark.parametrize(("system", "name"), [("Darwin", "macOS"), ("Windows", "Windows")])
def test_what_runs_no_model_works_everywhere(tmp_path: Path, system: str, name: str) -> None:
    """Without memray, a runtime, fork, fcntl, resource, /proc and more; `measure` says so."""
    for stem in ("mlp", "other"):
        tiny_models.mlp(tmp_path / f"{stem}.onnx", width=128)
    (tmp_path / "damaged.onnx").write_bytes(b"\x08\x08\x3a\xff\xff\xff\xff\x07")
    (tmp_path / "profile.json").write_bytes(encode(samples.profile()))
    (tmp_path / "feasibility.toml").write_text(_BUDGET)
    done = run_on(system, tmp_path / "start", "-c", _RUN, json.dumps(_COMMANDS), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    answered, verdict = json.loads(done.stdout)
    assert verdict == "fits"
    answers = dict(zip(_COMMANDS, answered, strict=True))
    documents = {}
    for command in _COMMANDS[:-2]:
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
    assert err.startswith("error: Cannot ")
    assert f" on {name}: " in err
    assert "`check --static`" in err
    code, out, err = answers["inspect damaged.onnx -q"]
    assert (code, out) == (2, "")
    assert err.startswith("error: Cannot read model 'damaged.onnx'")


def test_the_program_starts_without_linux_signals(tmp_path: Path) -> None:
    done = run_on("Windows", tmp_path / "start", "-m", "feasibility", "--version", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
