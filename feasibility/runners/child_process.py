"""How is a child process started, read and ended in every case?"""

from __future__ import annotations

import contextlib
import math
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol, TypeAlias, TypeVar

import msgspec

from feasibility.runners.child_command import Command
from feasibility.runners.child_protocol import (
    Converted,
    Done,
    Event,
    Failed,
    Finished,
    First,
    Loaded,
    Phase,
    Ready,
    Request,
)

EventT = TypeVar("EventT")
Ending: TypeAlias = Literal["done", "failed", "signal", "timeout", "silent"]

_STDERR_KEPT_BYTES: Final = 16 * 1024
_READ_BYTES: Final = 64 * 1024
# An event holds a few hundred samples at most. A longer line does not come from the child.
_MAX_LINE_BYTES: Final = 4 * 1024**2
_EXIT_GRACE_S: Final = 5.0
# Shells and container engines add this number to the signal that ended a process, and exit
# with the sum. The child's own exit codes are smaller.
_SIGNAL_EXIT: Final = 128
_EVENTS: Final[msgspec.json.Decoder[Event]] = msgspec.json.Decoder(Event)
_ENDINGS: Final[dict[type, Ending]] = {
    Done: "done",
    Finished: "done",
    Converted: "done",
    Failed: "failed",
}
_PHASE_AFTER: Final[dict[type, Phase]] = {Ready: "load", Loaded: "run", First: "run", Done: "end"}


@dataclass(frozen=True, slots=True)
class ChildResult:
    """Everything known of one child after its end.

    A child that was killed, crashed or ran out of time has a result, too, with the events
    that it sent before.

    Args:
        ending: How it ended: `done`, `failed` (with an error message), `signal` (killed or
            crashed), `timeout` (killed by this tool), `silent` (it exited without a last event).
        stderr_tail: The end of what it and its libraries printed.
        wall_ns: Time from its start to its end.
    """

    ending: Ending
    events: tuple[Event, ...]
    signal_number: int | None
    exit_code: int | None
    stderr_tail: str
    wall_ns: int
    timeout_s: float

    def event(self, kind: type[EventT]) -> EventT | None:
        """The first event of one kind; None if the child did not send one."""
        return next((event for event in self.events if isinstance(event, kind)), None)

    def sent(self, kind: type[EventT]) -> EventT:
        """The first event of a kind that every finished child has sent."""
        found = self.event(kind)
        assert found is not None
        return found

    @property
    def phase(self) -> Phase:
        """The phase in which it ended."""
        for event in reversed(self.events):
            if isinstance(event, Failed):
                return event.phase
            if type(event) in _PHASE_AFTER:
                return _PHASE_AFTER[type(event)]
        return "start"


class Watcher(Protocol):
    """Observes a child from outside while it runs, and corrects the figures in its events."""

    @property
    def period_s(self) -> float:
        """Seconds between observations."""

    def observe(self) -> None:
        """Observes the child, which may have ended."""

    def corrected(self, event: Event) -> Event:
        """The event with corrected figures."""


@dataclass(slots=True)
class _Child:
    """A running child and its output so far."""

    process: subprocess.Popen[bytes]
    timeout_s: float
    on_event: Callable[[Event], None] | None
    watcher: Watcher | None
    started_ns: int = field(default_factory=time.monotonic_ns)
    events: list[Event] = field(default_factory=list)
    incomplete_line: bytes = b""
    stderr: bytearray = field(default_factory=bytearray)
    open_stream_count: int = 2

    @property
    def left_s(self) -> float:
        return self.timeout_s - (time.monotonic_ns() - self.started_ns) / 1e9

    @property
    def wait_s(self) -> float:
        """Longest time to wait for its next output."""
        period_s = math.inf if self.watcher is None else self.watcher.period_s
        return max(0.0, min(self.left_s, period_s))

    @property
    def reported_ending(self) -> Ending | None:
        return _ENDINGS.get(type(self.events[-1])) if self.events else None

    @property
    def is_over(self) -> bool:
        return self.open_stream_count == 0 or self.left_s <= 0 or self.reported_ending is not None

    def receive(self, data: bytes) -> None:
        """Takes bytes of its standard output."""
        *lines, rest = (self.incomplete_line + data).split(b"\n")
        self.incomplete_line = rest[:_MAX_LINE_BYTES]
        for line in lines:
            # A library may write to the same descriptor; that spoils its own line only.
            with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
                event = _EVENTS.decode(line)
                self.events.append(self.watcher.corrected(event) if self.watcher else event)
                if self.on_event is not None:
                    self.on_event(self.events[-1])


def run_child(
    request: Request,
    command: Command,
    *,
    timeout_s: float,
    on_event: Callable[[Event], None] | None = None,
    watch: Callable[[int], Watcher] | None = None,
) -> ChildResult:
    """The result of one child; see `run_children`."""
    jobs = [(request, command)]
    return run_children(jobs, timeout_s=timeout_s, on_event=on_event, watch=watch)[0]


def run_children(
    jobs: Sequence[tuple[Request, Command]],
    *,
    timeout_s: float,
    on_event: Callable[[Event], None] | None = None,
    watch: Callable[[int], Watcher] | None = None,
) -> list[ChildResult]:
    """Results of children that run at the same time, in the order of the jobs.

    All children and their descendants have ended when this returns or raises. Several jobs are
    only for figures that do not depend on other load: resident memory and allocations, but not
    times or proportional memory.

    Args:
        jobs: A request and the command of the child that it goes to.
        timeout_s: Seconds after which a child is killed.
        on_event: Called with each event when it arrives; the children do not wait for it.
        watch: Makes a watcher of a child from its process id on this machine.

    Raises:
        OSError: A child could not be started.
    """
    with contextlib.ExitStack() as stack, selectors.DefaultSelector() as selector:
        children = []
        for _, command in jobs:
            process = stack.enter_context(_started(command))
            watcher = watch(process.pid) if watch else None
            children.append(_Child(process, timeout_s, on_event, watcher))
        for child, (request, _) in zip(children, jobs, strict=True):
            assert child.process.stdin is not None
            # A child that ended at once has closed its pipe; its exit code says more than EPIPE.
            with contextlib.suppress(BrokenPipeError):
                child.process.stdin.write(msgspec.json.encode(request) + b"\n")
                child.process.stdin.flush()
            for stream in (child.process.stdout, child.process.stderr):
                assert stream is not None
                selector.register(stream, selectors.EVENT_READ, child)
        running = list(children)
        results: dict[int, ChildResult] = {}
        while running:
            for key, _ in selector.select(min(child.wait_s for child in running)):
                _read(selector, key)
            for child in running:
                if child.watcher is not None:
                    child.watcher.observe()
            for child in [child for child in running if child.is_over]:
                running.remove(child)
                results[id(child)] = _result(child)
                for key in [key for key in selector.get_map().values() if key.data is child]:
                    selector.unregister(key.fileobj)
    return [results[id(child)] for child in children]


@contextlib.contextmanager
def _started(command: Command) -> Iterator[subprocess.Popen[bytes]]:
    """A child in its own process group; the group is killed when the block ends."""
    process = subprocess.Popen(
        command.argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=command.environment,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        kill_group(process)
        for stream in (process.stdin, process.stdout, process.stderr):
            assert stream is not None
            with contextlib.suppress(OSError):
                stream.close()


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Ends a process and its descendants; a group can outlive its first process."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _read(selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
    """Reads from one stream; unregisters it at its end."""
    child: _Child = key.data
    data = os.read(key.fd, _READ_BYTES)
    if not data:
        selector.unregister(key.fileobj)
        child.open_stream_count -= 1
    elif key.fileobj is child.process.stdout:
        child.receive(data)
    else:
        child.stderr += data
        del child.stderr[:-_STDERR_KEPT_BYTES]


def _result(child: _Child) -> ChildResult:
    """The result of a child that closed its streams, sent its last event or ran out of time."""
    in_time = child.left_s > 0
    if in_time:
        # The kernel may still be freeing its memory.
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.process.wait(_EXIT_GRACE_S)
    else:
        kill_group(child.process)
    code = child.process.returncode
    if code is not None and _SIGNAL_EXIT < code <= _SIGNAL_EXIT + max(signal.Signals):
        code = _SIGNAL_EXIT - code  # as for a child of this process that a signal ended
    ending = child.reported_ending
    if ending is None:
        silent: Ending = "signal" if code is not None and code < 0 else "silent"
        ending = silent if in_time else "timeout"
    return ChildResult(
        ending=ending,
        events=tuple(child.events),
        signal_number=-code if in_time and code is not None and code < 0 else None,
        exit_code=code if code is not None and code >= 0 else None,
        stderr_tail=child.stderr.decode("utf-8", "replace"),
        wall_ns=time.monotonic_ns() - child.started_ns,
        timeout_s=child.timeout_s,
    )
