"""How is an untrusted file read on a system without a safe fork? In a new Python process.

The limit on memory is checked a few times per second, because not every system enforces one.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import msgspec

import feasibility
from feasibility.errors import HostError
from feasibility.facts.reader_reply import MEMORY_BYTES, ReaderJob
from feasibility.records.model_reading import ReadRequest

RecordT = TypeVar("RecordT")

_PROGRAM: Final = "feasibility.facts.reader_program"
_POLL_S: Final = 0.2


def in_spawned_reader(
    request: ReadRequest,
    kind: type[RecordT],
    what: str,
    *,
    meanwhile: Callable[[], None],
) -> RecordT:
    """The answer to a request, read by a new process.

    Args:
        request: What to read, and the time limit of the process in seconds.
        kind: Type of the answer.
        what: First part of the messages of errors, for example "Cannot read model 'a.onnx'".
        meanwhile: Called in this process before it waits.

    Raises:
        FeasibilityError: The one that was raised in the process.
        OSError: The same.
        ModelError: The process used up its time or memory, or crashed.
        HostError: No process can be started.
    """
    import psutil

    job = ReaderJob(
        what=what,
        timeout_s=request.timeout_s,
        limit_bytes=min(MEMORY_BYTES, psutil.virtual_memory().total // 2),
    )
    deadline = time.monotonic() + job.timeout_s
    with _started(what) as process:
        try:
            data: bytes | None = msgspec.msgpack.encode(request)
            meanwhile()
            while True:
                try:
                    reply, _ = process.communicate(data, timeout=_POLL_S)
                    break
                except subprocess.TimeoutExpired:
                    data = None  # It is sent once.
                if time.monotonic() > deadline:
                    return job.result(None, 0, kind)
                with contextlib.suppress(psutil.Error):
                    if psutil.Process(process.pid).memory_info().rss > job.limit_bytes:
                        raise job.out_of_memory()
        finally:
            process.kill()
    return job.result(reply, process.returncode, kind)


def _started(what: str) -> subprocess.Popen[bytes]:
    folder = str(Path(feasibility.__file__).parents[1])
    paths = (folder, os.environ.get("PYTHONPATH", ""))
    try:
        return subprocess.Popen(
            # With -P, a file in the current folder cannot take the place of a library.
            [sys.executable, "-P", "-m", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        )
    except OSError as error:
        hint = "close other programs and try again"
        raise HostError(what, f"no process can be started ({error})", hint) from error
