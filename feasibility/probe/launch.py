"""Starts the child, collects what it says, and ends it whatever happens."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias, TypeVar

import msgspec

from feasibility.probe.runner import Runner
from feasibility.probe.wire import (
    Done,
    Event,
    Failed,
    First,
    Loaded,
    Phase,
    Ready,
    Request,
    decode_event,
    encode_request,
)

EventT = TypeVar("EventT")
Ending: TypeAlias = Literal["done", "failed", "signal", "timeout", "silent"]

_STDERR_KEPT_BYTES: Final = 16 * 1024
_READ_BYTES: Final = 64 * 1024
# A reply line holds a few hundred samples at most; more is not our child talking.
_MAX_LINE_BYTES: Final = 4 * 1024**2
_EXIT_GRACE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class ChildResult:
    """Everything known of one child after its end.

    A child that was killed, crashed or ran out of time is a result too; its
    events up to that point are kept.

    Args:
        ending: How it ended: `done`, `failed` (it said why), `signal` (killed or
            crashed), `timeout` (ended here), `silent` (exited without its last word).
        events: What it said, in order.
        signal_number: The signal that ended it, where one did.
        exit_code: Its exit code, where it exited.
        stderr_tail: The end of what it and its libraries printed.
        wall_ns: Time from its start to its end.
        timeout_s: The limit it ran under.
    """

    ending: Ending
    events: tuple[Event, ...]
    signal_number: int | None
    exit_code: int | None
    stderr_tail: str
    wall_ns: int
    timeout_s: float

    def event(self, kind: type[EventT]) -> EventT | None:
        """The event of one kind, or None if the child never got there."""
        return next((event for event in self.events if isinstance(event, kind)), None)

    @property
    def phase(self) -> Phase:
        """The phase in which it ended."""
        failed = self.event(Failed)
        if failed is not None:
            return failed.phase
        if self.event(Done) is not None:
            return "end"
        if self.event(First) is not None or self.event(Loaded) is not None:
            return "run"
        return "load" if self.event(Ready) is not None else "start"


@dataclass(slots=True)
class _Transcript:
    """What a child has said so far."""

    events: list[Event] = field(default_factory=list)
    pending: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)

    def hear(self, data: bytes) -> None:
        self.pending += data
        *lines, rest = bytes(self.pending).split(b"\n")
        self.pending = bytearray(rest[:_MAX_LINE_BYTES])
        for line in lines:
            # A library that writes to our descriptor behind our back spoils its own line only.
            with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
                self.events.append(decode_event(line))

    def overhear(self, data: bytes) -> None:
        self.stderr += data
        del self.stderr[:-_STDERR_KEPT_BYTES]


def run_child(
    request: Request,
    runner: Runner,
    *,
    timeout_s: float,
    environment: Mapping[str, str] | None = None,
) -> ChildResult:
    """What a fresh child made of the request; it has ended, with all its descendants.

    Args:
        request: The job.
        runner: Where it runs.
        timeout_s: Seconds after which it is killed.
        environment: Variables that are set for it on top of the inherited ones.

    Raises:
        OSError: The child could not be started at all.
    """
    started = time.monotonic_ns()
    transcript = _Transcript()
    with _spawned(runner, environment or {}) as process:
        # A child that died at once leaves a closed pipe; its ending tells more than EPIPE.
        with contextlib.suppress(BrokenPipeError):
            assert process.stdin is not None
            process.stdin.write(encode_request(request))
            process.stdin.flush()
        in_time = _listen(process, transcript, started + round(timeout_s * 1e9))
        if in_time:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_EXIT_GRACE_S)
        code = process.poll()
    return ChildResult(
        ending=_ending(transcript, code, in_time=in_time),
        events=tuple(transcript.events),
        signal_number=-code if in_time and code is not None and code < 0 else None,
        exit_code=code if code is not None and code >= 0 else None,
        stderr_tail=transcript.stderr.decode("utf-8", "replace"),
        wall_ns=time.monotonic_ns() - started,
        timeout_s=timeout_s,
    )


@contextlib.contextmanager
def _spawned(runner: Runner, extra: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A child in a process group of its own, which is gone when the block is left."""
    process = subprocess.Popen(
        runner.command(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=runner.environment(extra),
        start_new_session=True,
    )
    try:
        yield process
    finally:
        # The group outlives its leader if a library forked, so it is killed in any case.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()


def _listen(process: subprocess.Popen[bytes], transcript: _Transcript, deadline_ns: int) -> bool:
    """Whether the child fell silent before the deadline; what it says goes to the transcript."""
    assert process.stdout is not None
    assert process.stderr is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ, transcript.hear)
        selector.register(process.stderr, selectors.EVENT_READ, transcript.overhear)
        while selector.get_map():
            left_s = (deadline_ns - time.monotonic_ns()) / 1e9
            if left_s <= 0:
                return False
            for key, _ in selector.select(left_s):
                data = os.read(key.fd, _READ_BYTES)
                if data:
                    key.data(data)
                else:
                    selector.unregister(key.fileobj)
            if process.poll() is not None and not selector.select(0):
                return True  # a descendant may hold the pipes open; nobody is left to listen to
    return True


def _ending(transcript: _Transcript, code: int | None, *, in_time: bool) -> Ending:
    if any(isinstance(event, Done) for event in transcript.events):
        return "done"
    if any(isinstance(event, Failed) for event in transcript.events):
        return "failed"
    if not in_time:
        return "timeout"
    if code is not None and code < 0:
        return "signal"
    return "done" if code == 0 and transcript.events else "silent"
