"""The script that keeps a model on another machine for as long as the asking side listens.

It stands alone and runs there as `python3 -c`, on Python 3.7 or newer. It says what the
machine is, takes files into a fresh folder, hands back what instruments wrote, and removes
the folder when its standard input ends: when the asking side is done, was killed, or lost
the connection.

Protocol, in lines of JSON, each answered by one:

    (start)                      -> the facts of the machine
    {"files": [[name, size]..]}, followed by their bytes -> {"folder": path}
    {"fetch": path}              -> {"size": bytes}, followed by them
    {"room": path}               -> {"free_bytes": what a file there may take}
    anything that fails          -> {"error": why}
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import socket
import sys
import tempfile
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, BinaryIO

COPY_BYTES = 1 << 20
WANTED = ("onnxruntime", "numpy")
REMOVAL_ATTEMPTS = 50
REPLY: BinaryIO


def main() -> None:
    """Answers until standard input ends."""
    global REPLY  # noqa: PLW0603 - one reply channel per process
    REPLY = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    # A login shell may have greeted without ending its line.
    REPLY.write(b"\n")
    if not sys.platform.startswith("linux"):
        reply({"error": f"its system is {sys.platform}, not Linux"})
        return
    for name in ("SIGHUP", "SIGTERM", "SIGINT"):
        signal.signal(getattr(signal, name), leave)
    mark = claim()
    folder = None
    try:
        reply(facts(is_alone=mark is not None))
        for line in iter(sys.stdin.buffer.readline, b""):
            request = json.loads(line.decode())
            if "files" in request:
                folder = tempfile.mkdtemp(prefix="feasibility-")
                receive(folder, request["files"])
                reply({"folder": folder})
            elif "room" in request:
                reply({"free_bytes": shutil.disk_usage(request["room"]).free})
            else:
                hand_over(request["fetch"])
    except OSError as error:
        reply({"error": error.strerror or str(error)})
    finally:
        remove(folder)


def leave(number: int, frame: object) -> None:
    """Ends the script by way of its clean-up."""
    del frame
    sys.exit(128 + number)


def reply(message: dict[str, Any]) -> None:
    """Writes one line; nobody may be listening any more."""
    try:
        REPLY.write(json.dumps(message).encode() + b"\n")
        REPLY.flush()
    except OSError:
        sys.exit(1)


def receive(folder: str, files: Sequence[tuple[str, int]]) -> None:
    """Takes files from standard input into the folder."""
    for name, size in files:
        path = os.path.join(folder, *name.split("/"))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            for start in range(0, size, COPY_BYTES):
                wanted = min(size - start, COPY_BYTES)
                data = sys.stdin.buffer.read(wanted)
                if len(data) < wanted:
                    sys.exit(1)
                file.write(data)


def hand_over(path: str) -> None:
    """Writes the size of a file and its bytes, or why it cannot be read."""
    try:
        size = os.path.getsize(path)
    except OSError as error:
        reply({"error": error.strerror})
        return
    with open(path, "rb") as file:
        reply({"size": size})
        shutil.copyfileobj(file, REPLY, COPY_BYTES)
        REPLY.flush()


def remove(folder: str | None) -> None:
    """Removes the folder; a child that is just ending may still be writing into it."""
    for _ in range(REMOVAL_ATTEMPTS):
        if folder is None or not os.path.lexists(folder):
            return
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.05)


def claim() -> socket.socket | None:
    """A name that one run of this user can hold at a time, gone with the process; None if taken."""
    mark = socket.socket(socket.AF_UNIX)
    try:
        mark.bind(f"\0feasibility-{os.getuid()}")
    except OSError:
        return None
    return mark


def facts(*, is_alone: bool) -> dict[str, Any]:
    """What the asking side has to know before it sends a model."""
    memory = read_fields("/proc/meminfo")
    free_bytes = kibibytes(memory.get("MemAvailable", memory.get("MemFree")))
    return {
        "is_alone": is_alone,
        "python": platform.python_version(),
        "missing": [name for name in WANTED if not is_installed(name)],
        "cpu": cpu_name(),
        "arch": platform.machine(),
        "core_count": len(os.sched_getaffinity(0)),
        "memory_bytes": kibibytes(memory.get("MemTotal")),
        "free_bytes": min([free_bytes, *limits()]),
        "os": read_fields("/etc/os-release", "=").get("PRETTY_NAME", platform.system()).strip('"'),
        "load": os.getloadavg()[0],
        "is_emulated": is_emulated(),
    }


def is_installed(name: str) -> bool:
    """Whether a module can be found, without importing it."""
    from importlib.util import find_spec

    return find_spec(name) is not None


def read_fields(path: str, separator: str = ":") -> dict[str, str]:
    """The lines of a file of keys and values; the first of each key counts."""
    fields: dict[str, str] = {}
    try:
        with open(path, errors="replace") as file:
            for line in file:
                key, _, value = line.partition(separator)
                fields.setdefault(key.strip(), value.strip())
    except OSError:
        pass
    return fields


def kibibytes(text: str | None) -> int:
    """Bytes of a text such as `123 kB`; 0 for None."""
    return int(text.split()[0]) * 1024 if text else 0


def limits() -> list[int]:
    """Limits of the control group, where it has any."""
    found = []
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            with open(path) as file:
                found.append(int(file.read()))
        except (OSError, ValueError):  # absent, or the word "max"
            pass
    return found


def cpu_name() -> str:
    """The processor's name, or the board's where the processor has none."""
    fields = read_fields("/proc/cpuinfo")
    try:
        with open("/proc/device-tree/model", errors="replace") as file:
            board = file.read().strip("\0\n")
    except OSError:
        board = ""
    named = fields.get("model name") or fields.get("Model") or board
    # Arm's numbers, where servers tell no more.
    maker, part = fields.get("CPU implementer"), fields.get("CPU part")
    if maker and part and not named:
        return f"Arm processor {maker} {part}"
    return named or "unknown"


def is_emulated() -> bool:
    """Whether an emulator executes this process, as in a container of a foreign platform."""
    # The path goes through the thread, because QEMU answers for /proc/self/maps itself.
    try:
        with open(f"/proc/self/task/{os.getpid()}/maps", errors="replace") as file:
            return any(os.path.basename(line).startswith("qemu-") for line in file)
    except OSError:
        return False


if __name__ == "__main__":
    main()
