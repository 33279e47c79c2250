"""How does this machine talk to the agent on another machine?"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from feasibility.runners.child_process import kill_group
from feasibility.runners.session import ONNX_RUNTIME, StagedFile

AGENT_SCRIPT: Final = Path(__file__).with_name("remote_agent.py")
_COPY_BYTES: Final = 1 << 20
_CLOSE_S: Final = 15.0
_SHORT_CLOSE_S: Final = 1.0
_MAX_REPLY_BYTES: Final = 1 << 20
_STDERR_KEPT_BYTES: Final = 8 * 1024


class ConnectionEndedError(Exception):
    """The connection ended; the text and the exit code are those of the connecting program."""

    def __init__(self, text: str, exit_code: int | None = None) -> None:
        super().__init__(text)
        self.exit_code = exit_code


class AgentError(ConnectionEndedError):
    """The agent could not fulfil a request; the text is its reason."""


def agent_code(package: str = ONNX_RUNTIME) -> str:
    """The agent as one line of Python, without spaces and double quotes, which a shell changes.

    The agent looks for the package of an engine.
    """
    script = base64.b64encode(AGENT_SCRIPT.read_bytes()).decode()
    return f"import base64;ENGINE='{package}';exec(base64.b64decode('{script}'))"


@dataclass(slots=True)
class Connection:
    """A running agent, and the program on this machine that leads to it.

    Every request raises `AgentError` if the agent refuses it, and `ConnectionEndedError`.

    Args:
        timeout_s: Longest time to wait for an answer.
    """

    process: subprocess.Popen[bytes]
    stderr: IO[bytes]
    timeout_s: float
    _pending: bytearray = field(default_factory=bytearray)
    _greeting: bytes = b""
    has_answered: bool = False

    def receive(self) -> dict[str, Any]:
        """The agent's next message."""
        message: Any = None
        while not isinstance(message, dict):
            line = self._read_line()
            with contextlib.suppress(ValueError):
                message = json.loads(line)
            # A login shell may print a greeting before the agent's first message.
            if not isinstance(message, dict):
                self._greeting = line or self._greeting
        self.has_answered = True
        if "error" in message:
            raise AgentError(str(message["error"]))
        return message

    def send(self, files: Sequence[StagedFile]) -> str:
        """Copies files there and returns the folder that they are in."""
        assert self.process.stdin is not None
        sizes = [[file.name, file.path.stat().st_size] for file in files]
        try:
            self._write(json.dumps({"files": sizes}).encode() + b"\n")
            for file in files:
                with file.path.open("rb") as source:
                    while data := source.read(_COPY_BYTES):
                        self._write(data)
        except BrokenPipeError:
            # Its last message is the reason.
            self.receive()
            raise
        return str(self.receive()["folder"])

    def fetch(self, path: str, target: Path) -> None:
        """Copies a file from there."""
        self._write(json.dumps({"fetch": path}).encode() + b"\n")
        left = int(self.receive()["size"])
        with target.open("wb") as file:
            while left:
                data = bytes(self._pending[:left]) or self._read()[:left]
                del self._pending[: len(data)]
                file.write(data)
                left -= len(data)

    def free_bytes(self, folder: str) -> int:
        """Free bytes in a folder there."""
        self._write(json.dumps({"free_space": folder}).encode() + b"\n")
        return int(self.receive()["free_bytes"])

    def last_output(self) -> str:
        """Error output of the connecting program, without empty lines.

        Without error output: the last line of another program that answered instead of the agent.
        """
        self.stderr.seek(0, os.SEEK_END)
        self.stderr.seek(max(0, self.stderr.tell() - _STDERR_KEPT_BYTES))
        text = (self.stderr.read() or self._greeting).decode("utf-8", "replace")
        return "\n".join(filter(None, map(str.strip, text.splitlines())))

    def _read_line(self) -> bytes:
        while b"\n" not in self._pending:
            if len(self._pending) > _MAX_REPLY_BYTES:
                raise ConnectionEndedError("another program answers there")
            self._pending += self._read()
        line, _, rest = bytes(self._pending).partition(b"\n")
        self._pending = bytearray(rest)
        return line

    def _write(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def _read(self) -> bytes:
        assert self.process.stdout is not None
        descriptor = self.process.stdout.fileno()
        if not select.select([descriptor], [], [], self.timeout_s)[0]:
            raise ConnectionEndedError(f"no answer for {self.timeout_s:g} s")
        data = os.read(descriptor, _COPY_BYTES)
        if not data:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(_CLOSE_S)
            raise ConnectionEndedError(self.last_output(), self.process.returncode)
        return data


@contextlib.contextmanager
def open_connection(argv: Sequence[str], timeout_s: float) -> Iterator[Connection]:
    """A connection to the agent that a program starts; at the end the agent removes its files."""
    with tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
        )
        connection = Connection(process, stderr, timeout_s)
        try:
            yield connection
        finally:
            # Without a message there are no files to remove, and the agent may not be running.
            _close(process, _CLOSE_S if connection.has_answered else _SHORT_CLOSE_S)


def _close(process: subprocess.Popen[bytes], timeout_s: float) -> None:
    """Closes the agent's input, and waits until it has removed its folder and ended."""
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(OSError):
        process.stdin.close()
    deadline = time.monotonic() + timeout_s
    with contextlib.suppress(OSError):
        # An agent that is still sending a file must finish that first.
        while select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
            if not os.read(process.stdout.fileno(), _COPY_BYTES):
                break
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(max(0.0, deadline - time.monotonic()))
    kill_group(process)
    process.stdout.close()
