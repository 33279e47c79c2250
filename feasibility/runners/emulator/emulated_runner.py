"""How does `emulate:aarch64` run a model? ONNX Runtime's aarch64 build in QEMU on this machine.

Its memory is that of the device: the same build, the same kernels for the emulated core, the
same C library. Its times have no meaning.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from feasibility.errors import FeasibilityError, HostError
from feasibility.runners.child_command import CHILD_FOLDER, Command
from feasibility.runners.child_process import ChildResult
from feasibility.runners.child_protocol import Failed
from feasibility.runners.emulation_overhead import EmulatorWatcher
from feasibility.runners.emulator.arm_cores import DEFAULT_CORE, cpuinfo
from feasibility.runners.emulator.installed_emulator import (
    ISA,
    Manifest,
    emulator_folder,
    incomplete_emulator,
    usable_emulator,
)
from feasibility.runners.host import this_host
from feasibility.runners.session import ONNX_RUNTIME, FilesToStage, Session
from feasibility.temporary_folders import scratch_folder
from feasibility.text import safe_text

_INHERITED: Final = ("HOME", "LANG", "PATH", "TMPDIR", "TZ", "USER")
_MESSAGE_LIMIT: Final = 200
_FIRST_WITH_SAFE_PATH: Final = (3, 11)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulatedSession(Session):
    """An emulated process that reads the files of this machine.

    Args:
        guest_root: The root folder that the guest sees; other paths are those of this machine.
        core: The emulator's CPU model.
    """

    folder: Path
    manifest: Manifest
    guest_root: Path
    core: str

    def command(self, variables: Mapping[str, str]) -> Command:
        """The emulator; the variables are for the guest only, not for the emulator's own heap."""
        assignments = [
            part for name, value in variables.items() for part in ("-E", f"{name}={value}")
        ]
        version = tuple(int(part) for part in self.manifest.python_version.split("."))
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        return Command(
            argv=(
                str(self.folder / self.manifest.emulator),
                *("-L", str(self.guest_root), "-cpu", self.core, *assignments),
                str(self.folder / self.manifest.python),
                *(["-P"] if version >= _FIRST_WITH_SAFE_PATH else []),
                *("-X", "utf8", str(CHILD_FOLDER)),
            ),
            environment={**inherited, "PYTHONPATH": str(self.folder / "site")},
        )

    def host_error(self, result: ChildResult) -> FeasibilityError | None:
        """The error if the emulator failed."""
        core, version = self.core, self.manifest.emulator_version
        if result.signal_number == signal.SIGILL or "Illegal instruction" in result.stderr_tail:
            return HostError(
                f"Cannot continue to emulate {core}",
                f"the runtime used an instruction that {core} does not have, or that "
                f"QEMU {version} does not know",
                f"try another core with --on emulate:{ISA}:CPU, or a newer emulator",
            )
        if result.ending in ("done", "timeout") or result.phase not in ("start", "import"):
            return None
        return incomplete_emulator(f"Cannot emulate {core}", _failure_text(result))


@dataclass(frozen=True, slots=True)
class EmulatedRunner:
    """The instruction set of a device, without the device; `core` is the emulator's CPU model."""

    core: str = DEFAULT_CORE
    folder: Path = field(default_factory=emulator_folder)

    @property
    def name(self) -> str:
        """Its name as `--on` takes it."""
        return f"emulate:{ISA}:{self.core}"

    @contextlib.contextmanager
    def connect(
        self,
        files: FilesToStage,  # noqa: ARG002
        package: str = ONNX_RUNTIME,  # noqa: ARG002
    ) -> Iterator[EmulatedSession]:
        """A session that reads the files of this machine."""
        manifest = usable_emulator(self.folder)
        try:
            argv = [str(self.folder / manifest.emulator), "--version"]
            subprocess.run(argv, capture_output=True, timeout=30, check=True)
        except (OSError, subprocess.SubprocessError) as error:
            raise incomplete_emulator(f"Cannot emulate {ISA}", "QEMU does not start") from error
        with scratch_folder() as guest_root:
            host = this_host()
            for entry in (self.folder / "root").iterdir():
                if entry.name != "proc":
                    (guest_root / entry.name).symlink_to(entry)
            (guest_root / "proc").mkdir()
            (guest_root / "proc" / "cpuinfo").write_text(cpuinfo(self.core, host.core_count))
            yield EmulatedSession(
                runner_name=self.name,
                host=replace(host, cpu=f"{self.core} under QEMU {manifest.emulator_version}"),
                is_emulated=True,
                watch=EmulatorWatcher,
                folder=self.folder,
                manifest=manifest,
                guest_root=guest_root,
                core=self.core,
            )


def _failure_text(result: ChildResult) -> str:
    """Why a child ended before the runtime was loaded."""
    failed = result.event(Failed)
    if failed is None and result.signal_number is not None:
        return f"its Python was ended by {signal.Signals(result.signal_number).name}"
    lines = (result.stderr_tail if failed is None else failed.message).strip().splitlines()
    # Python prints lines about its threads after a fatal error.
    errors = [line for line in lines if re.search(r"[Ee]rror.*: \S", line)] or lines
    return safe_text(errors[-1].strip(), _MESSAGE_LIMIT) if errors else "its Python does not start"
