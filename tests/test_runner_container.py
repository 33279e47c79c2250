"""The container runner, against a stand-in for the engine that runs commands on this machine."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from feasibility.errors import HostError, UsageError
from feasibility.records.workload import STEADY_ENVIRONMENT, InputSpec
from feasibility.runners.child_process import run_child
from feasibility.runners.child_protocol import Done, Request, Schedule
from feasibility.runners.container import ContainerRunner, container_runner
from feasibility.runners.session import StagedFile
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


def request_for(path: str) -> Request:
    return Request(
        action="measure",
        instrument="steady",
        model_path=path,
        provider="CPUExecutionProvider",
        threads=1,
        inputs=(InputSpec(name="x", dtype="float32", shape=(1, 64)),),
        schedule=Schedule(run_count_min=1, run_count_max=1, warmup_count=0),
    )


def saying(engine: Path, text: str, code: int) -> ContainerRunner:
    (engine.parent / "words").write_text(text)
    engine.write_text(f"#!/bin/sh\ncat {engine.parent}/words >&2\nexit {code}\n")
    return ContainerRunner("docker", "my/image")


def fails(runner: ContainerRunner) -> HostError:
    with pytest.raises(HostError) as caught, runner.connect(tuple):
        pass
    return caught.value


def test_a_child_runs_beside_the_agent(engine: Path, tmp_path: Path) -> None:
    path = tiny_models.mlp(tmp_path / "mlp.onnx")
    runner = ContainerRunner("docker", "my/image")
    with runner.connect(lambda: [StagedFile(path, "model/mlp.onnx")]) as session:
        request = request_for(session.child_path(path))
        result = run_child(request, session.command(STEADY_ENVIRONMENT), timeout_s=60)
        assert result.event(Done) is not None, result.stderr_tail
    assert list((tmp_path / "tmp").iterdir()) == []
    assert (tmp_path / "log").read_text().split("\n")[0] == "run --rm --interactive"


def test_the_container_has_no_network_and_the_platform_asked_for() -> None:
    runner = container_runner("podman", "my/image:1,platform=linux/arm64")
    argv = runner.agent_argv("pass")
    assert argv[:2] == ["podman", "run"]
    assert argv[argv.index("--network") + 1] == "none"
    assert argv[argv.index("--platform") + 1] == "linux/arm64"
    assert runner.name == "podman:my/image:1,platform=linux/arm64"


def test_variables_reach_the_child() -> None:
    argv = ContainerRunner("docker", "i", container="c").child_argv("/x.py", {"A": "1"})
    assert argv[argv.index("--env") + 1] == "A=1"
    assert argv[-4:] == ["python3", "-X", "utf8", "/x.py"]


DAEMON = "docker: Error response from daemon: "
USAGE = "\n\nRun 'docker run --help' for more information"
NOT_HERE = "Unable to find image 'my/image:latest' locally\n"
REFUSED = "dial unix /run/docker.sock: connect: permission denied"


@pytest.mark.parametrize(
    ("text", "code", "why"),
    [
        (
            "docker: Cannot connect to the Docker daemon at unix:///run/docker.sock. "
            f"Is the docker daemon running?{USAGE}",
            125,
            "docker does not answer",
        ),
        (
            "docker: permission denied while trying to connect to the Docker daemon socket at "
            f'unix:///run/docker.sock: Head "http://%2Frun/_ping": {REFUSED}{USAGE}',
            126,
            "this user may not use the Docker daemon",
        ),
        (
            f"{DAEMON}failed to create shim task: OCI runtime create failed: runc create failed: "
            'unable to start container process: exec: "python3": executable file not found in '
            f"$PATH: unknown{USAGE}",
            127,
            "python3 is missing in the image my/image",
        ),
        (
            "Error: crun: executable file `python3` not found in $PATH: No such file or directory",
            127,
            "python3 is missing in the image my/image",
        ),
        (
            "exec /usr/bin/python3: exec format error",
            1,
            "the image my/image is for another instruction set, and this machine has no emulator "
            "for containers",
        ),
        (
            f"{NOT_HERE}{DAEMON}image with reference my/image was found but does not match the "
            f"specified platform: wanted linux/arm64, actual: linux/amd64{USAGE}",
            125,
            "the image my/image is not available for linux/arm64",
        ),
        (
            f"{NOT_HERE}{DAEMON}manifest for my/image:latest not found: manifest unknown: manifest "
            f"unknown{USAGE}",
            125,
            "the image my/image for linux/arm64 is neither on this machine nor in a registry",
        ),
        (
            'Error: short-name "my/image" did not resolve to an alias and no unqualified-search '
            'registries are defined in "/etc/containers/registries.conf"',
            125,
            "the image my/image for linux/arm64 is neither on this machine nor in a registry",
        ),
        (
            f'{NOT_HERE}{DAEMON}Get "https://registry-1.docker.io/v2/": dial tcp: lookup '
            f"registry-1.docker.io on 127.0.0.53:53: no such host{USAGE}",
            125,
            "the image my/image for linux/arm64 is not on this machine, and its registry does not "
            "answer",
        ),
        (
            "Trying to pull my/image:latest...\nError: initializing source docker://my/image: "
            'pinging container registry my: Get "https://my/v2/": dial tcp: no such host',
            125,
            "the image my/image for linux/arm64 is not on this machine, and its registry does not "
            "answer",
        ),
        (
            f"{DAEMON}mkdir /var/lib/docker: no space left on device.\nSee 'docker run --help'.",
            125,
            "mkdir /var/lib/docker: no space left on device",
        ),
        ("", 3, "docker ended with code 3"),
    ],
)
def test_what_engines_say_becomes_a_sentence(engine: Path, text: str, code: int, why: str) -> None:
    """Their words as recorded from docker 20.10 and 28.2 and podman 4.3."""
    runner = replace(saying(engine, text, code), platform="linux/arm64")
    assert fails(runner).why == why


def test_an_image_without_the_runtime_is_named(engine: Path) -> None:
    """Nothing can be installed in a container that is gone afterwards."""
    engine.write_text(
        f'#!/bin/sh\nwhile [ "$1" != -c ]; do shift; done\nexec {sys.executable} -I -S "$@"\n'
    )
    error = fails(ContainerRunner("docker", "my/image"))
    assert error.why == "the Python there lacks onnxruntime and numpy"
    assert error.hint == (
        "use an image that has them, for example with RUN pip install onnxruntime numpy in its "
        "Dockerfile"
    )


def test_an_image_without_the_package_of_the_engine_is_named(engine: Path) -> None:
    """Before the model is copied; ONNX Runtime is not needed then."""
    engine.write_text(
        f'#!/bin/sh\nwhile [ "$1" != -c ]; do shift; done\nexec {sys.executable} "$@"\n'
    )
    runner = ContainerRunner("docker", "my/image")
    with pytest.raises(HostError) as caught, runner.connect(tuple, "no_such_engine"):
        pass
    assert caught.value.why == "the Python there lacks no_such_engine"
    assert "RUN pip install no_such_engine in" in caught.value.hint


def test_an_emulator_of_the_engine_that_crashes_is_named(engine: Path, tmp_path: Path) -> None:
    """Its exit code is what docker reports of a process that a signal ended."""
    path = tiny_models.mlp(tmp_path / "mlp.onnx")
    with ContainerRunner("docker", "my/image").connect(lambda: [StagedFile(path, "m")]) as session:
        emulated = replace(session, is_emulated=True)
        engine.write_text("#!/bin/sh\nexit 139\n")
        result = run_child(request_for(session.child_path(path)), session.command({}), timeout_s=60)
        fault = emulated.host_error(result)
        assert fault is not None
        assert "crashed before the runtime had started" in fault.why
        assert session.host_error(result) is None


def test_an_engine_that_is_still_pulling_is_not_waited_for(engine: Path) -> None:
    """It neither speaks nor listens, and an interrupted run should end."""
    engine.write_text("#!/bin/sh\nexec sleep 60\n")
    began = time.monotonic()
    runner = replace(ContainerRunner("docker", "my/image"), timeout_s=0.2)
    assert fails(runner).why == "no answer for 0.2 s"
    assert time.monotonic() - began < 10


def test_a_container_that_ends_early_is_named(engine: Path, tmp_path: Path) -> None:
    path = tiny_models.mlp(tmp_path / "mlp.onnx")
    runner = ContainerRunner("docker", "my/image")
    with runner.connect(lambda: [StagedFile(path, "m")]) as session:
        session.connection.process.kill()
        engine.write_text("#!/bin/sh\nexit 137\n")
        result = run_child(request_for(session.child_path(path)), session.command({}), timeout_s=60)
        fault = session.host_error(result)
        assert fault is not None
        assert (fault.why, fault.hint) == runner.lost


def test_a_container_that_is_gone_is_named(engine: Path, tmp_path: Path) -> None:
    path = tiny_models.mlp(tmp_path / "mlp.onnx")
    with ContainerRunner("docker", "my/image").connect(lambda: [StagedFile(path, "m")]) as session:
        saying(engine, "Error response from daemon: No such container: feasibility-1", 125)
        result = run_child(request_for(session.child_path(path)), session.command({}), timeout_s=60)
        fault = session.host_error(result)
        assert fault is not None
        assert fault.why == "No such container: feasibility-1"


def test_a_missing_engine_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    error = fails(ContainerRunner("podman", "image"))
    assert error.why == "the program podman is not installed here"


@pytest.mark.parametrize("text", ["", "--privileged", "i,platform=", "i,volume=/:/x", "a b"])
def test_what_is_no_image_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        container_runner("docker", text)
