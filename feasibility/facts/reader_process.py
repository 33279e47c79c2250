"""How is an untrusted file read safely? In a forked process with limits on time and memory.

Protobuf's parser and onnx's shape inference are C++ code that a hostile file can send into an
endless loop or crash, and that no timer or Ctrl-C reaches. So they run in a fork of this
process with limits on time and memory, which sends back what it read over a pipe.
`spawned_reader.py` does the same on systems without a fork.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import os
import resource
import select
import signal
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn, TypeVar

from feasibility.errors import HostError
from feasibility.facts.reader_reply import (
    EXPORT_AGAIN,
    MAX_REPLY_BYTES,
    MEMORY_BYTES,
    READ_TIMEOUT_S,
    ReaderJob,
    outcome,
)

RecordT = TypeVar("RecordT")

_PAGE_BYTES: Final = resource.getpagesize()
_CHUNK_BYTES: Final = 1024 * 1024
# If another thread forked now, its process would keep this end of the pipe open.
_FORKING: Final = threading.Lock()


def in_reader_process(
    read: Callable[[], RecordT],
    kind: type[RecordT],
    what: str,
    *,
    timeout_s: float = READ_TIMEOUT_S,
    memory_bytes: int | None = None,
    meanwhile: Callable[[], None] | None = None,
    doing: str = "reading",
    hint: str = EXPORT_AGAIN,
) -> RecordT:
    """What a function returns that runs in a fork of this process.

    Args:
        read: The function; anything that it changes is lost.
        kind: Type of its result, one that msgspec can write and read.
        what: First part of the messages of errors, for example "Cannot read model 'a.onnx'".
        timeout_s: Seconds after which the process is ended.
        memory_bytes: Memory that it may take, at most half of the machine's; None for 4 GiB.
        meanwhile: What this process does before it waits.
        doing: What the process does with the model, in messages of its end.
        hint: What to do when its time or memory ran out, or it crashed.

    Raises:
        FeasibilityError: The one that the function raised.
        OSError: The same.
        ModelError: The process used up its time or memory, or crashed.
        HostError: No process can be started.
    """
    limit_bytes = memory_limit_bytes(memory_bytes)
    process_id = status = 0
    receiving = -1
    try:
        with _FORKING:
            receiving, sending = os.pipe()
            # No signal handler may run in the fork, or between the fork and its clean-up.
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            try:
                process_id = _fork(what)
                if process_id == 0:
                    os.close(receiving)
                    _answer(read, sending, limit_bytes)
            finally:
                os.close(sending)
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if meanwhile is not None:
            meanwhile()
        reply = _received(receiving, timeout_s)
    finally:
        if receiving >= 0:
            os.close(receiving)
        if process_id:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process_id, signal.SIGKILL)
            _, status = os.waitpid(process_id, 0)
    job = ReaderJob(what=what, timeout_s=timeout_s, limit_bytes=limit_bytes, doing=doing, hint=hint)
    return job.result(reply, os.waitstatus_to_exitcode(status), kind)


def _fork(what: str) -> int:
    with warnings.catch_warnings():
        # The progress display has a thread. The fork takes no lock of it, and its time is limited.
        warnings.simplefilter("ignore", DeprecationWarning)
        is_collecting = gc.isenabled()
        gc.disable()
        try:
            process_id = os.fork()
            if process_id == 0:
                # The fork does not collect the parent's garbage: the destructor of a library's
                # object may wait for a thread that does not exist in the fork.
                gc.freeze()
        except OSError as error:
            hint = "close other programs and try again"
            raise HostError(what, f"no process can be started ({error})", hint) from error
        finally:
            if is_collecting:
                gc.enable()
        return process_id


def _answer(read: Callable[[], object], sending: int, limit_bytes: int) -> NoReturn:
    """Sends the function's result, and ends this process without any clean-up of the parent's."""
    code = 1
    try:
        _restrict(sending, limit_bytes)
        reply = outcome(read)
        fcntl.fcntl(sending, fcntl.F_SETFL, 0)
        view = memoryview(reply)
        while view:
            view = view[os.write(sending, view) :]
        code = 0
    finally:
        os._exit(code)


def _restrict(sending: int, limit_bytes: int) -> None:
    """Gives this process the system's signal handlers, no output and a limit on memory."""
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    # When the parent is gone the pipe has no reader, and the kernel sends SIGIO, which ends
    # this process. No thread is needed, and C++ code cannot delay it.
    fcntl.fcntl(sending, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(sending, fcntl.F_SETFL, os.O_ASYNC)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    poller = select.poll()
    poller.register(sending, 0)
    if poller.poll(0):
        os._exit(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2):
        os.dup2(nothing, stream)
    # The linear algebra of numpy is not used here, and starts a thread per core.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError, ValueError):
        # If the machine runs out of memory, the kernel ends this process first.
        Path("/proc/self/oom_score_adj").write_text("1000", "ascii")
        own_bytes = int(Path("/proc/self/statm").read_text("ascii").split()[5]) * _PAGE_BYTES
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (own_bytes + limit_bytes, hard))


def memory_limit_bytes(wanted_bytes: int | None = None) -> int:
    """What the forked process may take beyond what this process has already."""
    machine_bytes = os.sysconf("SC_PHYS_PAGES") * _PAGE_BYTES
    return min(MEMORY_BYTES if wanted_bytes is None else wanted_bytes, machine_bytes // 2)


def _received(receiving: int, timeout_s: float) -> bytes | None:
    """Everything that was sent; None if time ran out before the end."""
    deadline = time.monotonic() + timeout_s
    poller = select.poll()
    poller.register(receiving, select.POLLIN)
    reply = bytearray()
    while poller.poll(max(0.0, deadline - time.monotonic()) * 1000):
        chunk = os.read(receiving, _CHUNK_BYTES)
        reply += chunk
        if not chunk or len(reply) > MAX_REPLY_BYTES:
            return bytes(reply)
    return None
