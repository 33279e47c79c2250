"""The container runner, against a stand-in for the engine that runs commands on this machine."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from feasibility.errors import HostError, UsageError
from feasibility.probe.launch import run_child
from feasibility.probe.place import StagedFile
from feasibility.probe.runner import STEADY_ENVIRONMENT
from feasibility.probe.runners.container import ContainerMachine, container_machine
from feasibility.probe.wire import Done, Request, Schedule
from feasibility.records.workload import InputSpec
from tests import tiny_models

ENGINE = """#!{python}
import os, sys
words = sys.argv[1:]
open({log!r}, "a").write(" ".join(words[:3]) + "\\n")
image = "my/image"
if words[0] == "run":
    argv = [sys.executable, *words[words.index(image) + 1:]]
else:
    while "--env" in words:
        at = words.index("--env")
        name, _, value = words[at + 1].partition("=")
        os.environ[name] = value
        del words[at : at + 2]
    argv = [sys.executable, *words[words.index("python3") + 1:]]
os.execv(argv[0], argv)
"""


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "docker"
    program.write_text(ENGINE.format(python=sys.executable, log=str(tmp_path / "log")))
    program.chmod(0o755)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    return program


def saying(engine: Path, text: str, code: int) -> ContainerMachine:
    engine.write_text(f"#!/bin/sh\necho '{text}' >&2\nexit {code}\n")
    return ContainerMachine("docker", "my/image")


def fails(machine: ContainerMachine) -> HostError:
    with pytest.raises(HostError) as caught, machine.reach(tuple):
        pass
    return caught.value


def test_a_child_runs_beside_the_keeper(engine: Path, tmp_path: Path) -> None:
    path = tiny_models.mlp(tmp_path / "mlp.onnx")
    machine = ContainerMachine("docker", "my/image")
    with machine.reach(lambda: [StagedFile(path, "model/mlp.onnx")]) as place:
        request = Request(
            action="measure",
            instrument="steady",
            model_path=place.there(path),
            provider="CPUExecutionProvider",
            threads=1,
            inputs=(InputSpec(name="x", dtype="float32", shape=(1, 64)),),
            schedule=Schedule(run_count_min=1, run_count_max=1, warmup_count=0),
        )
        result = run_child(request, place.runner, timeout_s=60, environment=STEADY_ENVIRONMENT)
        assert result.event(Done) is not None, result.stderr_tail
    assert list((tmp_path / "tmp").iterdir()) == []
    assert (tmp_path / "log").read_text().split("\n")[0] == "run --rm --interactive"


def test_the_container_has_no_network_and_the_platform_asked_for() -> None:
    machine = container_machine("podman", "my/image:1,platform=linux/arm64")
    argv = machine.keeper_command("pass")
    assert argv[:2] == ["podman", "run"]
    assert argv[argv.index("--network") + 1] == "none"
    assert argv[argv.index("--platform") + 1] == "linux/arm64"
    assert machine.name == "podman:my/image:1,platform=linux/arm64"


def test_variables_reach_the_child() -> None:
    argv = ContainerMachine("docker", "i", container="c").child_command("/x.py", {"A": "1"})
    assert argv[argv.index("--env") + 1] == "A=1"
    assert argv[-4:] == ["python3", "-X", "utf8", "/x.py"]


@pytest.mark.parametrize(
    ("text", "code", "why"),
    [
        ("Cannot connect to the Docker daemon at x", 125, "the Docker daemon does not answer"),
        ('exec: "python3": executable file not found in $PATH', 127, "the image my/image has no"),
        ("Error: no space left on device", 125, "Error: no space left on device"),
    ],
)
def test_faults_of_the_engine_are_named(engine: Path, text: str, code: int, why: str) -> None:
    assert why in fails(saying(engine, text, code)).why


def test_a_missing_engine_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    error = fails(ContainerMachine("podman", "image"))
    assert error.why == "the program podman is not installed here"


@pytest.mark.parametrize("text", ["", "--privileged", "i,platform=", "i,volume=/:/x", "a b"])
def test_what_is_no_image_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        container_machine("docker", text)
