"""Do engines send nothing? What their import tries: connections, processes, threads, files."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from feasibility.runners.child_command import CHILD_FOLDER
from feasibility.runners.engines import ENGINES

# The hook sees what Python code does and lets nothing out, so that a test that fails does not send
# anything either. Threads and sockets of native code are in /proc.
_WATCHED: Final = """
import json, os, sys, threading

seen, home = [], os.environ["HOME"]

def look(event, arguments):
    outside = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto",
               "subprocess.Popen", "os.fork", "os.posix_spawn", "os.system", "os.exec")
    if event in outside:
        seen.append(event)
        raise PermissionError(event)
    if event == "os.mkdir" or event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR):
        if str(arguments[0]).startswith(home):
            seen.append(f"{event} {arguments[0]}")

sys.addaudithook(look)
sys.path.insert(0, sys.argv[1])
import numpy
import_library()
seen += ["thread"] * (len(os.listdir("/proc/self/task")) - 1)
for name in os.listdir("/proc/self/fd"):
    try:
        if os.readlink("/proc/self/fd/" + name).startswith("socket:"):
            seen.append("socket")
    except OSError:
        pass
# A thread may try later.
for thread in threading.enumerate():
    if thread is not threading.current_thread():
        thread.join(2)
print(json.dumps(seen), flush=True)
os._exit(0)
"""
_WITH_TELEMETRY: Final = "def import_library():\n    import openvino\n"


def watched(definition: str, home: Path) -> tuple[list[str], list[str]]:
    """What an import tried, and the files that it left in the home folder."""
    # Engines do not send anything in CI, which would hide what they do elsewhere.
    environment = {name: value for name, value in os.environ.items() if name != "CI"}
    environment |= {"HOME": str(home), "OPENBLAS_NUM_THREADS": "1"}
    result = subprocess.run(
        [sys.executable, "-c", definition + _WATCHED, str(CHILD_FOLDER)],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    files = [str(path.relative_to(home)) for path in home.rglob("*")]
    return json.loads(result.stdout.splitlines()[-1]), files


@pytest.mark.parametrize(
    ("child", "package"), sorted({(engine.child, engine.package) for engine in ENGINES.values()})
)
def test_the_child_imports_an_engine_without_telemetry(
    child: str, package: str, tmp_path: Path
) -> None:
    """No connection, no process, no thread, no file in the home folder."""
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    definition = (
        f"def import_library():\n    import engine_{child}\n    engine_{child}.import_library()\n"
    )
    assert watched(definition, tmp_path) == ([], [])


def test_a_bare_import_shows_what_the_hook_sees(tmp_path: Path) -> None:
    """Otherwise the test above would prove nothing: OpenVINO's own import does try."""
    seen, files = watched(_WITH_TELEMETRY, tmp_path)
    assert seen
    assert any("openvino" in name for name in files)
