"""What keeps a model's files on another machine during a measurement? The agent, a script.

It runs there as `python3 -c`, with Python 3.7 or newer and without other modules of this
package. It describes the machine, writes the files into a new folder, sends back the files
of instruments, and removes the folder when its standard input ends. That happens when this
tool is done, was killed, or lost the connection.

Protocol: each line of JSON is answered by one.

    (start)                      -> facts about the machine
    {"files": [[name, size]..]}, followed by their bytes -> {"folder": path}
    {"fetch": path}              -> {"size": bytes}, followed by the bytes
    {"free_space": path}         -> {"free_bytes": bytes}
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
from importlib.util import find_spec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, BinaryIO

COPY_BYTES = 1 << 20
# `remote_connection.agent_code` sets ENGINE: the Python package that runs the model.
WANTED = (globals().get("ENGINE", "onnxruntime"), "numpy")
REMOVAL_ATTEMPTS = 50
REPLY: BinaryIO


def main() -> None:
    """Answers requests until standard input ends."""
    global REPLY  # noqa: PLW0603 - one reply channel per process
    REPLY = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    # A login shell may have printed a greeting without a line end.
    REPLY.write(b"\n")
    if not sys.platform.startswith("linux"):
        reply({"error": f"its system is {sys.platform}, not Linux"})
        return
    for name in ("SIGHUP", "SIGTERM", "SIGINT"):
        signal.signal(getattr(signal, name), leave)
    lock = take_lock()
    folder = None
    try:
        reply(facts(is_alone=lock is not None))
        for line in iter(sys.stdin.buffer.readline, b""):
            request = json.loads(line.decode())
            if "files" in request:
                folder = tempfile.mkdtemp(prefix="feasibility-")
                receive(folder, request["files"])
                reply({"folder": folder})
            elif "free_space" in request:
                reply({"free_bytes": shutil.disk_usage(request["free_space"]).free})
            else:
                send_file(request["fetch"])
    except OSError as error:
        reply({"error": error.strerror or str(error)})
    finally:
        remove(folder)


def leave(number: int, frame: object) -> None:
    """Ends the script after its clean-up."""
    del frame
    sys.exit(128 + number)


def reply(message: dict[str, Any]) -> None:
    """Writes one line; ends if the other side is gone."""
    try:
        REPLY.write(json.dumps(message).encode() + b"\n")
        REPLY.flush()
    except OSError:
        sys.exit(1)


def receive(folder: str, files: Sequence[tuple[str, int]]) -> None:
    """Writes files from standard input into the folder."""
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


def send_file(path: str) -> None:
    """Sends the size of a file and its bytes, or an error."""
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
    """Removes the folder; a child that is about to end may still write into it."""
    for _ in range(REMOVAL_ATTEMPTS):
        if folder is None or not os.path.lexists(folder):
            return
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.05)


def take_lock() -> socket.socket | None:
    """A lock that one run of this user can hold; None if it is taken. It ends with the process."""
    lock = socket.socket(socket.AF_UNIX)
    try:
        lock.bind(f"\0feasibility-{os.getuid()}")
    except OSError:
        return None
    return lock


def facts(*, is_alone: bool) -> dict[str, Any]:
    """What this tool needs to know before it sends a model."""
    memory = read_fields("/proc/meminfo")
    free_bytes = kibibytes(memory.get("MemAvailable", memory.get("MemFree")))
    return {
        "is_alone": is_alone,
        "python": platform.python_version(),
        "missing": [name for name in WANTED if find_spec(name) is None],
        "cpu": cpu_name(),
        "core_count": len(os.sched_getaffinity(0)),
        "memory_bytes": kibibytes(memory.get("MemTotal")),
        "free_bytes": min([free_bytes, *limits()]),
        "os": distribution(),
        "load": os.getloadavg()[0],
        "cpu_count": os.cpu_count() or 1,
        "is_emulated": is_emulated(),
    }


def distribution() -> str:
    """Name and version of the Linux distribution."""
    fields = read_fields("/etc/os-release", "=") or read_fields("/usr/lib/os-release", "=")
    return fields.get("PRETTY_NAME", platform.system()).strip("'\"")


def read_fields(path: str, separator: str = ":") -> dict[str, str]:
    """Keys and values in the lines of a file; the first line of each key counts."""
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
    """Memory limits of the control group."""
    found = []
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            with open(path) as file:
                found.append(int(file.read()))
        except (OSError, ValueError):  # absent, or the word "max"
            pass
    return found


def cpu_name() -> str:
    """The processor's name; without one, the board's."""
    fields = read_fields("/proc/cpuinfo")
    try:
        with open("/proc/device-tree/model", errors="replace") as file:
            board = file.read().strip("\0\n")
    except OSError:
        board = ""
    named = fields.get("model name") or fields.get("Model") or board
    # Arm servers often report numbers only.
    maker, part = fields.get("CPU implementer"), fields.get("CPU part")
    if maker and part and not named:
        return f"Arm processor {maker} {part}"
    return named or "unknown"


def is_emulated() -> bool:
    """Whether an emulator executes this process, as in a container of another platform."""
    # The path goes through the thread, because QEMU answers for /proc/self/maps itself.
    try:
        with open(f"/proc/self/task/{os.getpid()}/maps", errors="replace") as file:
            return any(os.path.basename(line).startswith("qemu-") for line in file)
    except OSError:
        return False


if __name__ == "__main__":
    main()
