"""A connection to the keeper on another machine."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from feasibility.runners.runner import StagedFile

KEEPER_SCRIPT: Final = Path(__file__).with_name("remote_keeper.py")
_COPY_BYTES: Final = 1 << 20
_FAREWELL_S: Final = 15.0
_BRIEF_FAREWELL_S: Final = 1.0
_MAX_REPLY_BYTES: Final = 1 << 20
_STDERR_KEPT_BYTES: Final = 8 * 1024


class LinkError(Exception):
    """The connection ended; its text is what was said last.

    Args:
        text: What the connecting program said.
        exit_code: That of the connecting program; None while it runs.
    """

    def __init__(self, text: str, exit_code: int | None = None) -> None:
        super().__init__(text)
        self.exit_code = exit_code


class RefusedError(LinkError):
    """The keeper could not do what it was asked; its text is the keeper's reason."""


def keeper_code() -> str:
    """The keeper as one line of Python without a quote or a space that a shell could change."""
    script = base64.b64encode(KEEPER_SCRIPT.read_bytes()).decode()
    return f"import base64;exec(base64.b64decode('{script}'))"


@dataclass(slots=True)
class Link:
    """A running keeper.

    Args:
        process: The program that leads to it.
        stderr: What that program says.
        timeout_s: Longest silence.
    """

    process: subprocess.Popen[bytes]
    stderr: IO[bytes]
    timeout_s: float
    _pending: bytearray = field(default_factory=bytearray)
    _greeting: bytes = b""
    has_heard: bool = False

    def hear(self) -> dict[str, Any]:
        """The keeper's next reply.

        Raises:
            RefusedError: The reply is an error.
            LinkError: The connection ended.
        """
        while True:
            line = self._read_line()
            try:
                message: Any = json.loads(line)
            except ValueError:
                message = None
            # Shells may greet before the keeper speaks; a greeting is not for us.
            if isinstance(message, dict):
                break
            self._greeting = line or self._greeting
        self.has_heard = True
        if "error" in message:
            raise RefusedError(str(message["error"]))
        reply: dict[str, Any] = message
        return reply

    def send(self, files: Sequence[StagedFile]) -> str:
        """Copies files there and returns the folder that they are in.

        Raises:
            RefusedError: There is no room.
            LinkError: The connection ended.
            OSError: A file cannot be read here.
        """
        assert self.process.stdin is not None
        sizes = [[file.name, file.path.stat().st_size] for file in files]
        try:
            self._write(json.dumps({"files": sizes}).encode() + b"\n")
            for file in files:
                with file.path.open("rb") as source:
                    while data := source.read(_COPY_BYTES):
                        self._write(data)
        except BrokenPipeError:
            # Its reply says why it has stopped listening.
            self.hear()
            raise
        return str(self.hear()["folder"])

    def fetch(self, path: str, target: Path) -> None:
        """Copies a file from there.

        Raises:
            RefusedError: There is no such file.
            LinkError: The connection ended.
        """
        self._write(json.dumps({"fetch": path}).encode() + b"\n")
        left = int(self.hear()["size"])
        with target.open("wb") as file:
            while left:
                data = bytes(self._pending[:left]) or self._read()[:left]
                del self._pending[: len(data)]
                file.write(data)
                left -= len(data)

    def free_bytes(self, folder: str) -> int:
        """What a file in a folder there may take.

        Raises:
            RefusedError: There is no such folder.
            LinkError: The connection ended.
        """
        self._write(json.dumps({"room": folder}).encode() + b"\n")
        return int(self.hear()["free_bytes"])

    def last_words(self) -> str:
        """What the connecting program complained of, without empty lines.

        Where it did not complain, the last line of what spoke in the keeper's place.
        """
        self.stderr.seek(0, os.SEEK_END)
        self.stderr.seek(max(0, self.stderr.tell() - _STDERR_KEPT_BYTES))
        text = (self.stderr.read() or self._greeting).decode("utf-8", "replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return "\n".join(lines)

    def _read_line(self) -> bytes:
        while b"\n" not in self._pending:
            if len(self._pending) > _MAX_REPLY_BYTES:
                raise LinkError("what answers there does not speak the keeper's protocol")
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
            raise LinkError(f"nothing was heard for {self.timeout_s:g} s")
        data = os.read(descriptor, _COPY_BYTES)
        if not data:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(_FAREWELL_S)
            raise LinkError(self.last_words(), self.process.returncode)
        return data


@contextlib.contextmanager
def linked(argv: Sequence[str], timeout_s: float) -> Iterator[Link]:
    """A connection whose other side has cleaned up when the block is left.

    Args:
        argv: Starts the keeper.
        timeout_s: Longest silence.

    Raises:
        OSError: The program cannot be started.
    """
    with tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
        )
        link = Link(process, stderr, timeout_s)
        try:
            yield link
        finally:
            # Who has not spoken yet has nothing to clean up, and may not listen either.
            _part(process, _FAREWELL_S if link.has_heard else _BRIEF_FAREWELL_S)


def _part(process: subprocess.Popen[bytes], farewell_s: float) -> None:
    """Ends the keeper by closing its input, and waits until it has removed its folder."""
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(OSError):
        process.stdin.close()
    deadline = time.monotonic() + farewell_s
    with contextlib.suppress(OSError):
        # A keeper that is still handing over a file has to get rid of it first.
        while select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
            if not os.read(process.stdout.fileno(), _COPY_BYTES):
                break
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(max(0.0, deadline - time.monotonic()))
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
