"""The program of a spawned reader process: a request on standard input, the reply on the output."""

from __future__ import annotations

import faulthandler
import os
import sys

import msgspec

from feasibility.facts.answer_request import answer
from feasibility.facts.reader_reply import outcome
from feasibility.model_file.open_model import open_model
from feasibility.records.model_reading import ModelReading, ReadRequest


def main() -> None:
    """Answer one request."""
    request = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=ReadRequest)
    # The output of libraries must not become part of the reply.
    with os.fdopen(os.dup(1), "wb") as reply, open(os.devnull, "w") as nothing:  # noqa: PTH123
        os.dup2(nothing.fileno(), 1)
        # The parent may have ended. This timer works without the parent and without Python's lock.
        faulthandler.dump_traceback_later(request.timeout_s, exit=True, file=nothing)
        os.environ["OPENBLAS_NUM_THREADS"] = "1"
        reply.write(outcome(lambda: _answer(request)))
        faulthandler.cancel_dump_traceback_later()


def _answer(request: ReadRequest) -> ModelReading | tuple[str, ...]:
    with open_model(request.file) as file:
        return answer(request, file)


if __name__ == "__main__":
    main()
