"""How does a reader process answer, and which error is raised if it fails?"""

from __future__ import annotations

import signal
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import msgspec

from feasibility.errors import FeasibilityError, ModelError
from feasibility.prepared_types import prepared
from feasibility.text import safe_text
from feasibility.units import GIB, format_bytes

RecordT = TypeVar("RecordT")

READ_TIMEOUT_S: Final = 60.0
# Real models, even of a gigabyte, take less than a second and less than 200 MiB.
MEMORY_BYTES: Final = 4 * GIB
MAX_REPLY_BYTES: Final = GIB
EXPORT_AGAIN: Final = "the file is damaged or hostile; export the model again"
_SIGKILL: Final = 9  # Windows has no name for it.
_RESULT, _ERROR = b"r", b"e"
_ERROR_KINDS: Final = {kind.__name__: kind for kind in FeasibilityError.__subclasses__()}


class _SentError(msgspec.Struct):
    """An exception sent to the parent; only errors of this tool use the last three fields."""

    kind: str
    trace: str
    what: str = ""
    why: str = ""
    hint: str = ""


class _ReaderError(Exception):
    """Where the exception was raised in the reader process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderJob:
    """What a reader process does, and its limits, for messages about its end.

    Args:
        what: First part of the messages, for example "Cannot read model 'a.onnx'".
        doing: What the process does with the model.
        hint: What to do when its time or memory ran out, or it crashed.
    """

    what: str
    timeout_s: float
    limit_bytes: int
    doing: str = "reading"
    hint: str = EXPORT_AGAIN

    def result(self, reply: bytes | None, exit_code: int, kind: type[RecordT]) -> RecordT:
        """What the process sent; None means that its time ran out.

        Raises:
            FeasibilityError: The one that was raised in the process.
            OSError: The same.
            ModelError: The process used up its time or memory, or crashed.
        """
        if reply is None:
            why = f"{self.doing} took more than {self.timeout_s:g} s and was stopped"
            raise ModelError(self.what, why, self.hint)
        if exit_code != 0:
            raise ModelError(self.what, _why_ended(exit_code, self.doing), self.hint)
        if reply[:1] == _RESULT:
            return msgspec.msgpack.decode(reply[1:], type=prepared(kind))
        sent = msgspec.msgpack.decode(reply[1:], type=prepared(_SentError))
        if sent.kind == "MemoryError":
            raise self.out_of_memory()
        raise _error_of(sent)

    def out_of_memory(self) -> ModelError:
        """The error of a process that needed more than its limit."""
        limit = format_bytes(self.limit_bytes)
        return ModelError(
            self.what, f"{self.doing} it takes more than {limit} of memory", self.hint
        )


def outcome(read: Callable[[], object]) -> bytes:
    """What a function returns or raises, to be sent to the parent."""
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


def _why_ended(code: int, doing: str) -> str:
    if code == -_SIGKILL:
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
