"""Starts Python programs in which this machine looks like one with another operating system.

Modules and calls that the other system does not have are removed in every Python process, and so
are /proc and /sys. Everything that third-party libraries need is imported before.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_START = '''
import importlib.abc
import os
import platform
import select
import signal
import subprocess
import sys
import sysconfig

import numpy
import onnx
import psutil
import rich.console
import rich.progress
import typer.core

sysconfig.get_config_vars()

SYSTEM = os.environ["FEASIBILITY_TEST_SYSTEM"]
# memray does not exist for Windows; nothing here may need it or a runtime.
MODULES = {"memray", "onnxruntime"}
CALLS = {os: ["sched_getaffinity", "posix_fadvise"]}
if SYSTEM == "Windows":
    MODULES |= {"fcntl", "grp", "pwd", "resource", "termios"}
    CALLS[os] += """fork pread sysconf getuid geteuid sendfile killpg setsid getloadavg mkfifo
        O_CLOEXEC O_NONBLOCK O_NOCTTY O_NOFOLLOW""".split()
    CALLS[signal] = ["SIGHUP", "SIGIO", "SIGBUS", "pthread_sigmask"]
    CALLS[select] = ["poll"]


class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in MODULES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def refuse(event, arguments):
    if event != "open" or not str(arguments[0]).startswith(("/proc", "/sys")):
        return
    if "psutil" not in sys._getframe(1).f_code.co_filename:
        raise FileNotFoundError(2, "No such file or directory", arguments[0])


for name in MODULES:
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Missing())
for module, names in CALLS.items():
    for name in names:
        delattr(module, name)
sys.addaudithook(refuse)
sys.platform = {"Darwin": "darwin", "Windows": "win32"}[SYSTEM]
platform.system = lambda: SYSTEM
'''


def run_on(
    system: str, folder: Path, *arguments: object, cwd: Path
) -> subprocess.CompletedProcess[str]:
    """Runs Python with these arguments; `folder` gets the files that simulate the other system."""
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(_START)
    root = Path(__file__).parents[1]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(folder), str(root)]),
        "FEASIBILITY_TEST_SYSTEM": system,
        "COLUMNS": "80",
    }
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
        cwd=cwd,
        env=environment,
    )
