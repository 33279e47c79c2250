"""ONNX Runtime's own aarch64 build under QEMU's user-mode emulation on this machine.

What it allocates is what it would allocate on the device: the same build, the same choice of
kernels for the core that is emulated, the same C library. What it takes in time means nothing.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from feasibility.errors import FeasibilityError, HostError
from feasibility.runners import remote_keeper as keeper
from feasibility.runners.child_process import ChildResult
from feasibility.runners.child_protocol import Failed
from feasibility.runners.emulation_overhead import TranslationWatcher
from feasibility.runners.emulator.cores import DEFAULT_CORE, cpuinfo
from feasibility.runners.emulator.root import ISA, Manifest, damaged_root, root_folder, usable_root
from feasibility.runners.interpreter import CHILD_FOLDER
from feasibility.runners.runner import FilesToStage, HostFacts, Room, local_room
from feasibility.scratch import scratch_folder
from feasibility.text import safe_text

# What stays for the emulator and everything else on the machine.
_RESERVE_RATIO: Final = 0.1
_INHERITED: Final = ("HOME", "LANG", "PATH", "TMPDIR", "TZ", "USER")
_LONGEST: Final = 200
_FIRST_WITH_SAFE_PATH: Final = (3, 11)


@dataclass(frozen=True, slots=True)
class EmulatingRunner:
    """Starts the child script under the emulator.

    Args:
        folder: The root.
        manifest: What it holds.
        view: The root as the guest sees it.
        core: The emulator's CPU model.
    """

    folder: Path
    manifest: Manifest
    view: Path
    core: str

    @property
    def name(self) -> str:
        """Its name as `--on` takes it."""
        return f"emulate:{ISA}:{self.core}"

    def command(self, extra: Mapping[str, str]) -> list[str]:
        """The argv of the emulator; variables reach the guest only, not the emulator's own heap."""
        assignments = [part for name, value in extra.items() for part in ("-E", f"{name}={value}")]
        version = tuple(int(part) for part in self.manifest.python_version.split("."))
        return [
            str(self.folder / self.manifest.emulator),
            *("-L", str(self.view), "-cpu", self.core, *assignments),
            str(self.folder / self.manifest.python),
            *(["-P"] if version >= _FIRST_WITH_SAFE_PATH else []),
            *("-X", "utf8", str(CHILD_FOLDER)),
        ]

    def environment(self, extra: Mapping[str, str]) -> dict[str, str]:  # noqa: ARG002
        """What the emulator inherits, and the guest from it."""
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        return {**inherited, "PYTHONPATH": str(self.folder / "site")}


@dataclass(frozen=True, slots=True)
class EmulatedPlace:
    """This machine's files, read by an emulated process."""

    runner: EmulatingRunner
    host: HostFacts
    is_emulated: bool = True
    watch: type[TranslationWatcher] = TranslationWatcher

    def there(self, path: Path) -> str:
        """The path itself: what is not in the root is looked up here."""
        return str(path)

    def scratch(self, folder: Path) -> str:
        """The folder itself."""
        return str(folder)

    def room(self) -> Room:
        """The folder for temporary files of this machine."""
        return local_room()

    def fetch(self, path: str, folder: Path) -> Path:  # noqa: ARG002
        """The file where it is."""
        return Path(path)

    def fault(self, result: ChildResult) -> FeasibilityError | None:
        """The error of an emulator that met something it does not know."""
        core, version = self.runner.core, self.runner.manifest.emulator_version
        if result.signal_number == signal.SIGILL or "Illegal instruction" in result.stderr_tail:
            return HostError(
                f"Cannot go on emulating {core}",
                f"the runtime used an instruction that {core} does not have, or that "
                f"QEMU {version} does not know",
                f"try another core with --on emulate:{ISA}:CPU, or a newer emulator",
            )
        if result.ending in ("done", "timeout") or result.phase not in ("start", "import"):
            return None
        return damaged_root(f"Cannot emulate {core}", _last_words(result))


@dataclass(frozen=True, slots=True)
class EmulatedMachine:
    """The instruction set of a device, without the device.

    Args:
        core: The emulator's CPU model.
        folder: The root.
    """

    core: str = DEFAULT_CORE
    folder: Path = field(default_factory=root_folder)

    @property
    def name(self) -> str:
        """Its name as `--on` takes it."""
        return f"emulate:{ISA}:{self.core}"

    @contextlib.contextmanager
    def reach(self, files: FilesToStage) -> Iterator[EmulatedPlace]:  # noqa: ARG002
        """The files as they are, for a root that is ready.

        Raises:
            HostError: The root is missing, incomplete or of another version.
        """
        manifest = usable_root(self.folder)
        _require_start(self.folder / manifest.emulator)
        with scratch_folder() as view:
            facts = keeper.facts(is_alone=True)
            _make_view(self.folder / "root", view, cpuinfo(self.core, facts["core_count"]))
            yield EmulatedPlace(
                runner=EmulatingRunner(self.folder, manifest, view, self.core),
                host=HostFacts(
                    cpu=f"{self.core} under QEMU {manifest.emulator_version}",
                    core_count=facts["core_count"],
                    memory_bytes=facts["memory_bytes"],
                    free_bytes=round(facts["free_bytes"] * (1 - _RESERVE_RATIO)),
                    os=facts["os"],
                    load=facts["load"],
                ),
            )


def _require_start(emulator: Path) -> None:
    """Stops where the emulator is no program any more."""
    try:
        done = subprocess.run([emulator, "--version"], capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise damaged_root(f"Cannot emulate {ISA}", "its emulator does not start") from error
    if done.returncode != 0:
        raise damaged_root(f"Cannot emulate {ISA}", "its emulator does not start")


def _last_words(result: ChildResult) -> str:
    """Why a child did not get as far as the runtime."""
    failed = result.event(Failed)
    if failed is None and result.signal_number is not None:
        return f"its Python was ended by {signal.Signals(result.signal_number).name}"
    lines = (result.stderr_tail if failed is None else failed.message).strip().splitlines()
    # A fatal error of Python's is followed by lines about its threads.
    told = [line for line in lines if re.search(r"[Ee]rror.*: \S", line)] or lines
    return safe_text(told[-1].strip(), _LONGEST) if told else "its Python does not start"


def _make_view(root: Path, view: Path, processors: str) -> None:
    """The root with a description of the emulated core, which differs from run to run."""
    for entry in root.iterdir():
        if entry.name != "proc":
            (view / entry.name).symlink_to(entry)
    (view / "proc").mkdir()
    (view / "proc" / "cpuinfo").write_text(processors)
