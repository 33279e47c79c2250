"""Starts the child, collects what it says, and ends it whatever happens."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol, TypeAlias, TypeVar

import msgspec

from feasibility.runners.child_protocol import (
    Described,
    Done,
    Event,
    Failed,
    Finished,
    First,
    Loaded,
    Phase,
    Ready,
    Request,
    decode_event,
    encode_request,
)
from feasibility.runners.interpreter import Runner

EventT = TypeVar("EventT")
Ending: TypeAlias = Literal["done", "failed", "signal", "timeout", "silent"]

_STDERR_KEPT_BYTES: Final = 16 * 1024
_READ_BYTES: Final = 64 * 1024
# A reply line holds a few hundred samples at most; more is not our child talking.
_MAX_LINE_BYTES: Final = 4 * 1024**2
_EXIT_GRACE_S: Final = 5.0
# Shells and container engines report a process that a signal ended as one that exited with
# this number plus the signal's; a child's own codes are smaller.
_SIGNAL_EXIT: Final = 128
_LAST_WORDS: Final = (Done, Described, Finished, Failed)


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


class Watcher(Protocol):
    """Looks at a child from outside while it runs, and mends what it says of itself."""

    @property
    def period_s(self) -> float:
        """Seconds between looks."""

    def look(self) -> None:
        """Takes a look; the child may be gone."""

    def mend(self, event: Event) -> Event:
        """The event with its figures put right."""


@dataclass(slots=True)
class _Transcript:
    """What a child has said so far."""

    events: list[Event] = field(default_factory=list)
    pending: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)
    on_event: Callable[[Event], None] | None = None
    watcher: Watcher | None = None

    @property
    def is_complete(self) -> bool:
        """Whether the child's last word has been heard."""
        return bool(self.events) and isinstance(self.events[-1], _LAST_WORDS)

    def hear(self, data: bytes) -> None:
        self.pending += data
        *lines, rest = bytes(self.pending).split(b"\n")
        self.pending = bytearray(rest[:_MAX_LINE_BYTES])
        for line in lines:
            # A library that writes to our descriptor behind our back spoils its own line only.
            with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
                event = decode_event(line)
                self.events.append(self.watcher.mend(event) if self.watcher else event)
                if self.on_event is not None:
                    self.on_event(self.events[-1])

    def overhear(self, data: bytes) -> None:
        self.stderr += data
        del self.stderr[:-_STDERR_KEPT_BYTES]


@dataclass(slots=True)
class _Child:
    """A running child and what it has said so far."""

    process: subprocess.Popen[bytes]
    timeout_s: float
    started_ns: int = field(default_factory=time.monotonic_ns)
    transcript: _Transcript = field(default_factory=_Transcript)
    open_stream_count: int = 2

    @property
    def left_s(self) -> float:
        return self.timeout_s - (time.monotonic_ns() - self.started_ns) / 1e9

    @property
    def wait_s(self) -> float:
        """Longest time to wait for its next word."""
        watcher = self.transcript.watcher
        return max(0.0, self.left_s if watcher is None else min(self.left_s, watcher.period_s))

    def look(self) -> None:
        if self.transcript.watcher is not None:
            self.transcript.watcher.look()


def run_child(
    request: Request,
    runner: Runner,
    *,
    timeout_s: float,
    environment: Mapping[str, str] | None = None,
    on_event: Callable[[Event], None] | None = None,
    watch: Callable[[int], Watcher] | None = None,
) -> ChildResult:
    """What a fresh child made of the request; it has ended, with all its descendants.

    Args:
        request: The job.
        runner: Where it runs.
        timeout_s: Seconds after which it is killed.
        environment: Variables that are set for it on top of the inherited ones.
        on_event: Called with each event as it arrives; the child does not wait for it.
        watch: Makes a watcher of the child from the id of its process on this machine.

    Raises:
        OSError: The child could not be started at all.
    """
    return run_children(
        [request],
        runner,
        timeout_s=timeout_s,
        environments=[environment or {}],
        on_event=on_event,
        watch=watch,
    )[0]


def run_children(
    requests: Sequence[Request],
    runner: Runner,
    *,
    timeout_s: float,
    environments: Sequence[Mapping[str, str]] | None = None,
    on_event: Callable[[Event], None] | None = None,
    watch: Callable[[int], Watcher] | None = None,
) -> list[ChildResult]:
    """Results of children that run at the same time, in the order of their requests.

    Only for passes whose figures do not depend on what else the machine does:
    resident memory and allocations, never times or proportional memory.

    Args:
        requests: The jobs.
        runner: Where they run.
        timeout_s: Seconds after which each is killed.
        environments: Variables for each on top of the inherited ones; None for no others.
        on_event: Called with each event as it arrives; the children do not wait for it.
        watch: Makes a watcher of a child from the id of its process on this machine.

    Raises:
        OSError: A child could not be started at all; none is left running.
    """
    with contextlib.ExitStack() as stack, selectors.DefaultSelector() as selector:
        children = [
            _Child(
                stack.enter_context(_spawned(runner, environment)),
                timeout_s,
                transcript=_Transcript(on_event=on_event),
            )
            for environment in environments or [{}] * len(requests)
        ]
        for child, request in zip(children, requests, strict=True):
            child.transcript.watcher = watch(child.process.pid) if watch else None
            _ask(child.process, request)
            for stream in (child.process.stdout, child.process.stderr):
                assert stream is not None
                selector.register(stream, selectors.EVENT_READ, child)
        pending = list(children)
        results: dict[int, ChildResult] = {}
        while pending:
            for key, _ in selector.select(min(child.wait_s for child in pending)):
                _hear(selector, key)
            for child in pending:
                child.look()
            for child in [child for child in pending if _is_over(child)]:
                pending.remove(child)
                results[id(child)] = _result(child)
                _forget(selector, child)
    return [results[id(child)] for child in children]


@contextlib.contextmanager
def _spawned(runner: Runner, extra: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A child in a process group of its own, which is gone when the block is left."""
    process = subprocess.Popen(
        runner.command(extra),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=runner.environment(extra),
        start_new_session=True,
    )
    try:
        yield process
    finally:
        _kill_group(process)
        for stream in (process.stdin, process.stdout, process.stderr):
            assert stream is not None
            with contextlib.suppress(OSError):
                stream.close()


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """Ends the child and whatever it started; the group can outlive its leader."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _ask(process: subprocess.Popen[bytes], request: Request) -> None:
    assert process.stdin is not None
    # A child that died at once leaves a closed pipe; its ending tells more than EPIPE.
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(encode_request(request))
        process.stdin.flush()


def _hear(selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
    """Takes what one stream has; a stream at its end is listened to no more."""
    child: _Child = key.data
    data = os.read(key.fd, _READ_BYTES)
    if not data:
        selector.unregister(key.fileobj)
        child.open_stream_count -= 1
    elif key.fileobj is child.process.stdout:
        child.transcript.hear(data)
    else:
        child.transcript.overhear(data)


def _is_over(child: _Child) -> bool:
    return child.open_stream_count == 0 or child.left_s <= 0 or child.transcript.is_complete


def _result(child: _Child) -> ChildResult:
    """What became of a child that has fallen silent or run out of time."""
    in_time = child.left_s > 0
    if in_time:
        # Silent is not yet gone: the kernel still takes its memory back.
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.process.wait(_EXIT_GRACE_S)
    else:
        _kill_group(child.process)
    code = _plain_code(child.process.returncode)
    return ChildResult(
        ending=_ending(child.transcript, code, in_time=in_time),
        events=tuple(child.transcript.events),
        signal_number=-code if in_time and code is not None and code < 0 else None,
        exit_code=code if code is not None and code >= 0 else None,
        stderr_tail=child.transcript.stderr.decode("utf-8", "replace"),
        wall_ns=time.monotonic_ns() - child.started_ns,
        timeout_s=child.timeout_s,
    )


def _plain_code(code: int | None) -> int | None:
    """The code of a process; minus the signal that ended it, here or on another machine."""
    if code is not None and _SIGNAL_EXIT < code <= _SIGNAL_EXIT + max(signal.Signals):
        return _SIGNAL_EXIT - code
    return code


def _forget(selector: selectors.BaseSelector, child: _Child) -> None:
    for key in [key for key in selector.get_map().values() if key.data is child]:
        selector.unregister(key.fileobj)


def _ending(transcript: _Transcript, code: int | None, *, in_time: bool) -> Ending:
    last = transcript.events[-1] if transcript.events else None
    if isinstance(last, (Done, Described, Finished)):
        return "done"
    if isinstance(last, Failed):
        return "failed"
    if not in_time:
        return "timeout"
    return "signal" if code is not None and code < 0 else "silent"
