"""How is an untrusted file read safely? In a forked process with limits on time and memory.

Protobuf's parser and onnx's shape inference are C++ code that a hostile file can send into an
endless loop or crash, and that no timer or Ctrl-C reaches. So they run in a fork of this
process with limits on time and memory, which sends back what it read over a pipe.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import os
import resource
import select
import signal
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn, TypeVar

import msgspec

from feasibility.errors import FeasibilityError, HostError, ModelError
from feasibility.text import safe_text
from feasibility.units import GIB, format_bytes

RecordT = TypeVar("RecordT")

READ_TIMEOUT_S: Final = 60.0
# Real models take under a second and 200 MiB, those of a gigabyte too.
_MEMORY_BYTES: Final = 4 * GIB
_PAGE_BYTES: Final = resource.getpagesize()
_CHUNK_BYTES: Final = 1024 * 1024
_MAX_REPLY_BYTES: Final = GIB
_EXPORT_AGAIN: Final = "the file is damaged or hostile; export the model again"
_RESULT, _ERROR = b"r", b"e"
_ERROR_KINDS: Final = {kind.__name__: kind for kind in FeasibilityError.__subclasses__()}


class _SentError(msgspec.Struct):
    """An exception on its way to the parent; the last three fields are those of our own."""

    kind: str
    trace: str
    what: str = ""
    why: str = ""
    hint: str = ""


class _ReaderError(Exception):
    """Where the exception was raised in the reader process."""


def in_reader_process(
    read: Callable[[], RecordT],
    kind: type[RecordT],
    what: str,
    *,
    timeout_s: float = READ_TIMEOUT_S,
    memory_bytes: int | None = None,
    meanwhile: Callable[[], None] | None = None,
    doing: str = "reading",
    hint: str = _EXPORT_AGAIN,
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
    receiving, sending = os.pipe()
    process_id = status = 0
    # No handler of this process may run in the fork, nor between the fork and the clean-up.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
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
        os.close(receiving)
        if process_id:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process_id, signal.SIGKILL)
            _, status = os.waitpid(process_id, 0)
    if reply is None:
        raise ModelError(what, f"{doing} took more than {timeout_s:g} s and was stopped", hint)
    if os.waitstatus_to_exitcode(status) != 0:
        raise ModelError(what, _why_ended(os.waitstatus_to_exitcode(status), doing), hint)
    if reply[:1] == _RESULT:
        return msgspec.msgpack.decode(reply[1:], type=kind)
    sent = msgspec.msgpack.decode(reply[1:], type=_SentError)
    if sent.kind == "MemoryError":
        limit = format_bytes(limit_bytes)
        raise ModelError(what, f"{doing} it takes more than {limit} of memory", hint)
    raise _error_of(sent)


def _fork(what: str) -> int:
    with warnings.catch_warnings():
        # The progress display has a thread. The fork takes no lock of it, and its time is limited.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return os.fork()
        except OSError as error:
            hint = "close other programs and try again"
            raise HostError(what, f"no process can be started ({error})", hint) from error


def _answer(read: Callable[[], object], sending: int, limit_bytes: int) -> NoReturn:
    """Sends the function's result, and ends this process without any clean-up of the parent's."""
    code = 1
    try:
        _restrict(sending, limit_bytes)
        reply = _outcome(read)
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
    # What the parent has left to the garbage collector is not removed here: the destructor of a
    # library's object may wait for a thread, which a fork does not have.
    gc.freeze()
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
    return min(_MEMORY_BYTES if wanted_bytes is None else wanted_bytes, machine_bytes // 2)


def _outcome(read: Callable[[], object]) -> bytes:
    try:
        return _RESULT + msgspec.msgpack.encode(read())
    except FeasibilityError as error:
        sent = _SentError(type(error).__name__, _trace(error), error.what, error.why, error.hint)
    except OSError as error:
        sent = _SentError("OSError", _trace(error), str(error.errno or 0), error.strerror or "")
    except MemoryError:
        sent = _SentError("MemoryError", "")
    except Exception as error:  # noqa: BLE001 (the parent raises it)
        sent = _SentError("", _trace(error), safe_text(f"{type(error).__name__}: {error}", 400))
    return _ERROR + msgspec.msgpack.encode(sent)


def _trace(error: Exception) -> str:
    text = "".join(traceback.format_exception(error))
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _received(receiving: int, timeout_s: float) -> bytes | None:
    """Everything that was sent; None if time ran out before the end."""
    deadline = time.monotonic() + timeout_s
    poller = select.poll()
    poller.register(receiving, select.POLLIN)
    reply = bytearray()
    while poller.poll(max(0.0, deadline - time.monotonic()) * 1000):
        chunk = os.read(receiving, _CHUNK_BYTES)
        reply += chunk
        if not chunk or len(reply) > _MAX_REPLY_BYTES:
            return bytes(reply)
    return None


def _why_ended(code: int, doing: str) -> str:
    if code == -signal.SIGKILL:
        return f"the process {doing} it was killed, probably because memory ran out"
    if code < 0:
        return f"the process {doing} it crashed ({signal.Signals(-code).name})"
    return f"the process {doing} it ended with exit code {code}"


def _error_of(sent: _SentError) -> Exception:
    """The exception that ended the function."""
    error: Exception
    if sent.kind == "OSError":
        error = OSError(int(sent.what), sent.why)
    elif sent.kind in _ERROR_KINDS:
        error = _ERROR_KINDS[sent.kind](sent.what, sent.why, sent.hint)
    else:
        error = RuntimeError(sent.what)
    error.__cause__ = _ReaderError(f"\n{sent.trace}")
    return error
