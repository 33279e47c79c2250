"""The ssh runner, against a server that the test starts on the loopback address."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import onnx
import pytest
from onnx.external_data_helper import set_external_data

from feasibility.errors import HostError, UsageError
from feasibility.facts.read_model import read_model
from feasibility.measure.measure_model import measure_model
from feasibility.measure.measure_options import MeasureOptions
from feasibility.measure.passes import files_to_stage
from feasibility.records.workload import STEADY_ENVIRONMENT, InputSpec
from feasibility.runners import remote_runner, ssh
from feasibility.runners.child_process import run_child
from feasibility.runners.child_protocol import Done, Loaded, Ready, Request, Schedule
from feasibility.runners.remote_connection import AgentError, ConnectionEndedError, agent_code
from feasibility.runners.session import StagedFile
from feasibility.runners.ssh import SshRunner, ssh_runner
from tests import tiny_models

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
needs_sshd = pytest.mark.skipif(
    SSHD is None or shutil.which("ssh-keygen") is None, reason="no OpenSSH server here"
)
ENDLESS = Schedule(run_count_min=10**9, run_count_max=10**9, enough_ns=10**18, time_limit_ns=10**18)


@dataclass(frozen=True)
class Server:
    """A running sshd with keys of its own, and the folder that it takes for temporary files."""

    runner: SshRunner
    folder: Path
    process: subprocess.Popen[bytes]

    def leftovers(self) -> list[str]:
        """Names of what runs have left behind there; waits for clean-ups that are under way."""
        deadline = time.monotonic() + 10
        while (names := [path.name for path in self.temporary.iterdir()]) and (
            time.monotonic() < deadline
        ):
            time.sleep(0.05)
        return names

    def sessions(self) -> list[int]:
        """Processes that serve a connection."""
        own = self.process.pid
        return [int(word) for word in Path(f"/proc/{own}/task/{own}/children").read_text().split()]

    @property
    def temporary(self) -> Path:
        return self.folder / "tmp"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def make_key(path: Path) -> None:
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True, timeout=30
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    assert SSHD is not None
    folder = tmp_path_factory.mktemp("sshd")
    (folder / "tmp").mkdir()
    for name in ("host", "user", "stranger", "greeted"):
        make_key(folder / name)
    port = free_port()
    # What this key may run is written anew by the tests: it stands for a login shell.
    greeted = (folder / "greeted.pub").read_text()
    (folder / "greeted.keys").write_text(f'command="exec {folder}/shell" {greeted}')
    (folder / "banner").write_text("Connection refused to strangers; all others timed out\n")
    (folder / "server.conf").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\n"
        f"AuthorizedKeysFile {folder}/user.pub {folder}/greeted.keys\nStrictModes no\nUsePAM no\n"
        f"Banner {folder}/banner\n"
        f"PasswordAuthentication no\nPidFile none\nPermitRootLogin yes\n"
        f"SetEnv TMPDIR={folder}/tmp\n"
    )
    host_key = (folder / "host.pub").read_text()
    (folder / "known").write_text(f"[127.0.0.1]:{port} {host_key}")
    (folder / "client.conf").write_text(
        f"Host loop\n  HostName 127.0.0.1\n  Port {port}\n  IdentitiesOnly yes\n"
        f"  IdentityFile {folder}/user\n  UserKnownHostsFile {folder}/known\n"
        "  GlobalKnownHostsFile /dev/null\n"
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([SSHD, "-D", "-e", "-f", f"{folder}/server.conf"], stderr=log)
    runner = SshRunner("loop", python=sys.executable, options=("-F", str(folder / "client.conf")))
    try:
        deadline = time.monotonic() + 20
        while b"listening" not in (folder / "log").read_bytes():
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.skip(f"sshd does not start: {(folder / 'log').read_text()}")
            time.sleep(0.05)
        yield Server(runner, folder, process)
    finally:
        process.terminate()
        process.wait()


def with_option(runner: SshRunner, option: str) -> SshRunner:
    return replace(runner, options=("-o", option, *runner.options))


def with_shell(server: Server, commands: str) -> SshRunner:
    """The machine for a user whose login shell does this with SSH_ORIGINAL_COMMAND."""
    shell = server.folder / "shell"
    shell.write_text(f"#!/bin/sh\n{commands}\n")
    shell.chmod(0o755)
    return with_option(server.runner, f"IdentityFile={server.folder}/greeted")


def request_for(path: str, **changes: object) -> Request:
    fields: dict[str, object] = {
        "action": "measure",
        "instrument": "plain",
        "model_path": path,
        "provider": "CPUExecutionProvider",
        "threads": 1,
        "inputs": (InputSpec(name="x", dtype="float32", shape=(1, 64)),),
        "schedule": Schedule(run_count_min=1, run_count_max=1, warmup_count=0),
    }
    return Request(**(fields | changes))  # type: ignore[arg-type]


def external_model(path: Path) -> Path:
    """A model whose weights lie in two files, one of them in a folder."""
    model = onnx.load_model(tiny_models.mlp(path))
    for tensor, location in zip(model.graph.initializer, ("w0.bin", "sub/w1.bin"), strict=True):
        file = path.parent / location
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(tensor.raw_data)
        set_external_data(tensor, location)
        tensor.ClearField("raw_data")
    path.write_bytes(model.SerializeToString())
    return path


def fails(runner: SshRunner) -> HostError:
    with pytest.raises(HostError) as caught, runner.connect(tuple):
        pass
    return caught.value


@needs_sshd
@pytest.mark.slow
def test_a_profile_over_ssh_is_that_of_this_machine(server: Server, tmp_path: Path) -> None:
    """Memory within 3 %, all instruments, and nothing left on the other side."""
    path = tiny_models.mlp(tmp_path / "mlp.onnx")
    here, there = measure_model(path), measure_model(path, runner=server.runner)
    assert here.memory is not None
    assert there.memory is not None
    tolerance = 0.03 * here.memory.baseline_bytes
    assert abs(there.memory.baseline_bytes - here.memory.baseline_bytes) < tolerance
    assert abs(there.memory.load_peak_bytes - here.memory.load_peak_bytes) < tolerance
    assert there.runner == server.runner.name
    assert there.method == "measured"
    assert there.latency is not None
    assert {use.phase for use in there.allocations} == {"load", "inference"}
    assert len(there.operators) == len(here.operators)
    assert there.host.libraries == here.host.libraries
    assert server.leftovers() == []


@needs_sshd
def test_external_data_goes_along(server: Server, tmp_path: Path) -> None:
    path = external_model(tmp_path / "model.onnx")
    with server.runner.connect(
        lambda: files_to_stage(read_model(path), MeasureOptions())
    ) as session:
        copied = Path(session.child_path(path.absolute()))
        for location in ("model.onnx", "w0.bin", "sub/w1.bin"):
            assert (copied.parent / location).read_bytes() == (tmp_path / location).read_bytes()
        assert session.host.memory_bytes > 0
    assert server.leftovers() == []


@needs_sshd
def test_a_child_runs_there_with_its_variables(server: Server, tmp_path: Path) -> None:
    path = tiny_models.mlp(tmp_path / "mlp.onnx")
    with server.runner.connect(lambda: [StagedFile(path, "model/mlp.onnx")]) as session:
        request = request_for(session.child_path(path))
        argv = session.command(STEADY_ENVIRONMENT).argv
        assert "MALLOC_TRIM_THRESHOLD_=131072" in argv[-1]
        result = run_child(request, session.command(STEADY_ENVIRONMENT), timeout_s=60)
        assert result.event(Done) is not None, result.stderr_tail
    assert server.leftovers() == []


@needs_sshd
def test_what_a_child_wrote_there_comes_back(server: Server, tmp_path: Path) -> None:
    source = tmp_path / "data"
    source.write_bytes(os.urandom(3_000_000))
    with server.runner.connect(lambda: [StagedFile(source, "deep/er/data")]) as session:
        (tmp_path / "back").mkdir()
        back = session.fetch(session.child_path(source), tmp_path / "back")
        assert back.read_bytes() == source.read_bytes()
        with pytest.raises(OSError, match="No such file"):
            session.fetch("/nonexistent", tmp_path)
    assert server.leftovers() == []


@needs_sshd
def test_a_child_ends_when_the_connection_does(server: Server, tmp_path: Path) -> None:
    """The end of its standard input ends it, as on this runner, and the agent cleans up."""
    path = tiny_models.mlp(tmp_path / "mlp.onnx")
    with contextlib.ExitStack() as stack:
        session = stack.enter_context(
            server.runner.connect(lambda: [StagedFile(path, "m/mlp.onnx")])
        )
        request = request_for(session.child_path(path), schedule=ENDLESS)
        result = run_child(request, session.command({}), timeout_s=4)
        assert result.ending == "timeout"
        os.killpg(session.connection.process.pid, signal.SIGKILL)
        script = f"{session.folder}/probe/child"
        deadline = time.monotonic() + 10
        while is_running(script) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not is_running(script)
        assert server.leftovers() == []
        fault = session.host_error(replace(result, ending="silent"))
        assert "the connection was lost" in fault.message if fault else False


def is_running(script: str) -> bool:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            command = path.read_bytes()
            if script.encode() in command and b"ssh\0" not in command:
                return True
    return False


@needs_sshd
@pytest.mark.parametrize("shell", ["sh", "bash", "dash", "tcsh", "fish", "zsh"])
def test_shells_may_differ_and_greet(server: Server, tmp_path: Path, shell: str) -> None:
    """A greeting, with its last line not ended, spoils neither the agent's word nor a child's."""
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    greeting = "printf 'Welcome to \\173 this host\\nNOISE'"
    runner = with_shell(server, f'{greeting}\nexec {shell} -c "$SSH_ORIGINAL_COMMAND"')
    path = tiny_models.mlp(tmp_path / "mlp.onnx")
    with runner.connect(lambda: [StagedFile(path, "a folder/it's.onnx")]) as session:
        result = run_child(request_for(session.child_path(path)), session.command({}), timeout_s=60)
        assert isinstance(result.events[0], Ready), result.stderr_tail
        assert result.ending == "done"
    assert server.leftovers() == []


@needs_sshd
def test_temporary_files_may_be_in_a_folder_with_spaces(server: Server, tmp_path: Path) -> None:
    folder = server.temporary / "t m 'p"
    folder.mkdir()
    runner = with_shell(server, f'TMPDIR="{folder}" exec sh -c "$SSH_ORIGINAL_COMMAND"')
    path = tiny_models.mlp(tmp_path / "mlp.onnx")
    with runner.connect(lambda: [StagedFile(path, "mlp.onnx")]) as session:
        assert session.child_path(path).startswith(f"{folder}/")
        assert (
            run_child(
                request_for(session.child_path(path)), session.command({}), timeout_s=60
            ).ending
            == "done"
        )
        room = session.free_space()
        assert room is not None
        assert Path(room.folder).parent == folder
        assert 0 < room.free_bytes <= shutil.disk_usage(folder).total
    assert list(folder.iterdir()) == []
    folder.rmdir()


@needs_sshd
def test_an_account_without_a_shell_is_named(server: Server) -> None:
    """Its refusal comes where the agent would speak; a banner that complains is no complaint."""
    runner = with_shell(server, "echo 'This account is currently not available.'; exit 1")
    assert fails(runner).why == "This account is currently not available"


@needs_sshd
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_what_ended_a_child_there_is_known(
    server: Server, tmp_path: Path, number: signal.Signals
) -> None:
    """ssh does not say which signal it was."""
    fatal = tmp_path / "python"
    fatal.write_text(
        f'#!/bin/sh\ncase "$*" in */probe/child) kill -{number.name[3:]} $$;; esac\n'
        f'exec {sys.executable} "$@"\n'
    )
    fatal.chmod(0o755)
    with replace(server.runner, python=str(fatal)).connect(tuple) as session:
        result = run_child(request_for("/none"), session.command({}), timeout_s=30)
        assert (result.ending, result.signal_number) == ("signal", number)
        assert session.host_error(result) is None


@needs_sshd
def test_a_child_that_loses_its_connection_alone_is_the_networks_fault(server: Server) -> None:
    cut = with_shell(
        server,
        'case "$SSH_ORIGINAL_COMMAND" in */probe/child*) kill -KILL $PPID;; esac\n'
        'exec sh -c "$SSH_ORIGINAL_COMMAND"',
    )
    with cut.connect(tuple) as session:
        fault = session.host_error(
            run_child(request_for("/none"), session.command({}), timeout_s=30)
        )
        assert fault is not None
        assert (fault.why, fault.hint) == server.runner.lost
    assert server.leftovers() == []


@needs_sshd
def test_a_connection_that_ends_while_copying_is_named(server: Server, tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.write_bytes(bytes(4_000_000))
    dying = tmp_path / "python"
    dying.write_text(
        f"#!{sys.executable}\nimport os, sys\n"
        "ready = {'python': '3.11', 'missing': [], 'is_alone': True}\n"
        "print(__import__('json').dumps(ready), flush=True)\n"
        "sys.stdin.buffer.read(100_000)\nos.kill(os.getppid(), 9)\n"
    )
    dying.chmod(0o755)
    runner = replace(server.runner, python=str(dying))
    with pytest.raises(HostError) as caught, runner.connect(lambda: [StagedFile(big, "big")]):
        pass
    assert caught.value.what == f"Cannot copy the model to {runner.name}"
    assert (caught.value.why, caught.value.hint) == server.runner.lost


@needs_sshd
def test_a_host_that_falls_silent_ends_the_run(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is refused and nothing closed, as when a board loses its power."""
    quick = {"ServerAliveInterval=10": "ServerAliveInterval=1"}
    monkeypatch.setattr(ssh, "_OPTIONS", tuple(quick.get(word, word) for word in ssh._OPTIONS))
    path = tiny_models.mlp(tmp_path / "mlp.onnx")
    stopped: list[int] = []

    def fall_silent(event: object) -> None:
        if isinstance(event, Loaded):
            stopped.extend(server.sessions())
            for process_id in stopped:
                os.kill(process_id, signal.SIGSTOP)

    try:
        with server.runner.connect(lambda: [StagedFile(path, "mlp.onnx")]) as session:
            request = request_for(session.child_path(path), schedule=ENDLESS)
            result = run_child(request, session.command({}), timeout_s=60, on_event=fall_silent)
            fault = session.host_error(result)
            assert fault is not None
            assert "the connection was lost" in fault.why
    finally:
        for process_id in stopped:
            os.kill(process_id, signal.SIGCONT)
    assert server.leftovers() == []


@needs_sshd
def test_two_runs_at_once_are_refused(server: Server) -> None:
    with server.runner.connect(tuple):
        error = fails(server.runner)
    assert "another measurement runs there" in error.why
    assert server.leftovers() == []


@needs_sshd
def test_an_unknown_host_key_is_named(server: Server) -> None:
    error = fails(with_option(server.runner, "UserKnownHostsFile=/dev/null"))
    assert error.why == "the host key is unknown"


@needs_sshd
def test_a_changed_host_key_is_named(server: Server, tmp_path: Path) -> None:
    known = (server.folder / "known").read_text().split()[0]
    (tmp_path / "known").write_text(f"{known} {(server.folder / 'stranger.pub').read_text()}")
    error = fails(with_option(server.runner, f"UserKnownHostsFile={tmp_path}/known"))
    assert error.why == "the host key has changed"


@needs_sshd
def test_a_key_that_is_not_accepted_is_named(server: Server) -> None:
    error = fails(with_option(server.runner, "User=nobody-of-this-name"))
    assert error.why == "the host refused the login"
    assert "ssh-copy-id loop" in error.hint


@needs_sshd
def test_a_closed_port_is_named(server: Server) -> None:
    error = fails(with_option(server.runner, f"Port={free_port()}"))
    assert error.why == "no ssh server answers on that port"


@needs_sshd
def test_a_missing_interpreter_is_named(server: Server) -> None:
    error = fails(replace(server.runner, python="/nonexistent/python"))
    assert error.why == "the host has no program /nonexistent/python"


@needs_sshd
def test_an_interpreter_that_may_not_be_run_is_named(server: Server, tmp_path: Path) -> None:
    (tmp_path / "python").write_text("no program")
    error = fails(replace(server.runner, python=str(tmp_path / "python")))
    assert error.why == f"this user may not run {tmp_path}/python on the host"


@needs_sshd
def test_a_python_without_the_runtime_is_named(server: Server, tmp_path: Path) -> None:
    """-S hides what is installed, as on a machine where nothing is."""
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
    bare.chmod(0o755)
    error = fails(replace(server.runner, python=str(bare)))
    assert error.why == "the Python there lacks onnxruntime and numpy"
    assert "pip install onnxruntime numpy" in error.hint


@needs_sshd
def test_a_full_disk_there_is_named(server: Server, tmp_path: Path) -> None:
    """A limit on file sizes stops the copy as a full disk would, and what was copied goes."""
    limited = tmp_path / "python"
    limited.write_text(f'#!/bin/sh\ntrap "" XFSZ\nulimit -f 100\nexec {sys.executable} "$@"\n')
    limited.chmod(0o755)
    big = tmp_path / "big"
    big.write_bytes(bytes(4_000_000))
    runner = replace(server.runner, python=str(limited))
    with pytest.raises(HostError) as caught, runner.connect(lambda: [StagedFile(big, "big")]):
        pass
    assert "file too large" in caught.value.why
    assert "3.81 MiB are needed" in caught.value.hint
    assert server.leftovers() == []


def test_no_ssh_client_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    error = fails(SshRunner("host"))
    assert error.why == "the program ssh is not installed here"


@pytest.mark.parametrize(
    ("text", "host", "python"),
    [
        ("board", "board", "python3"),
        ("pi@board.local", "pi@board.local", "python3"),
        ("pi@board:/opt/env/bin/python", "pi@board", "/opt/env/bin/python"),
        ("//pi@board:2222", "ssh://pi@board:2222", "python3"),
        ("//board:22/usr/bin/python3", "ssh://board:22", "/usr/bin/python3"),
    ],
)
def test_hosts_are_parsed(text: str, host: str, python: str) -> None:
    runner = ssh_runner(text)
    assert (runner.host, runner.python) == (host, python)


@pytest.mark.parametrize("text", ["-oProxyCommand=x", "a b", "", "host;reboot", "//", "a@b@c"])
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        ssh_runner(text)


def refusal(connection: type) -> HostError:
    """The error that the agent's first message brings."""
    with pytest.raises(HostError) as caught:
        remote_runner._checked_facts(connection(), SshRunner("host"), "Cannot measure on ssh:host")
    return caught.value


def test_a_python_that_cannot_read_the_agent_is_refused() -> None:
    """Python 2 and those before 3.7 do not get as far as saying their version."""

    class Answers:
        def receive(self) -> dict[str, object]:
            raise ConnectionEndedError(
                "  File 1\nSyntaxError: future feature annotations is not defined", 1
            )

    assert refusal(Answers).why == "the Python there is too old"


def test_a_system_that_is_not_linux_is_refused() -> None:
    """The agent says so before it uses anything of Linux."""
    code = "import sys; sys.platform = 'darwin'; import os; del os.sched_getaffinity; "
    argv = [sys.executable, "-c", code + agent_code()]
    said = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout
    assert json.loads(said) == {"error": "its system is darwin, not Linux"}

    class Answers:
        def receive(self) -> dict[str, object]:
            raise AgentError("its system is darwin, not Linux")

    assert refusal(Answers).message == "Cannot measure on ssh:host: its system is darwin, not Linux"


def test_an_old_python_there_is_refused() -> None:
    """Its version is looked at before anything is sent."""

    class Answers:
        def receive(self) -> dict[str, object]:
            return {"python": "3.7.3", "missing": [], "is_alone": True}

    assert refusal(Answers).why == "the Python there is too old: 3.7.3"
