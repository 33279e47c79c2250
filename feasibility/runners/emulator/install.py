"""How is the emulator installed, from Debian's arm64 packages and aarch64 wheels?

Nothing is installed into the system: apt-get downloads packages with a private configuration,
and they are unpacked. This happens in a temporary folder that replaces the old one at the end,
so an installation is either complete or absent.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from feasibility.errors import HostError
from feasibility.runners.emulator.installed_emulator import FORMAT, ISA, MANIFEST, Manifest
from feasibility.text import safe_text

Progress: TypeAlias = Callable[[int, int, str], None]
"""Called before each step with its number, the number of steps, and its name."""

Run: TypeAlias = Callable[[Sequence[str]], str]
"""Runs a command and returns its standard output; raises `CommandError`."""

_WHAT: Final = f"Cannot install the runner {ISA}"
_STEPS: Final = (
    "reading the package lists",
    "downloading packages",
    "unpacking packages",
    "downloading wheels",
    "unpacking wheels",
)
_EMULATOR_PACKAGE: Final = "qemu-user-static"
_EMULATOR_NAMES: Final = ("qemu-aarch64-static", "qemu-aarch64")
# Debian's names of the instruction sets of this machine and of the guest.
_HOST_ARCHITECTURE: Final = "amd64"
_GUEST_ARCHITECTURE: Final = "arm64"
_TIMEOUT_S: Final = 1800
# Oldest to newest glibc that wheels are built for.
_MANYLINUX: Final = ("manylinux2014", *(f"manylinux_2_{minor}" for minor in range(17, 37)))
_NOT_NEEDED: Final = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info")


class CommandError(Exception):
    """A command that failed; the text is its last message."""


@dataclass(frozen=True, slots=True)
class _Build:
    """The folder that is filled, and how commands run."""

    folder: Path
    run: Run

    def apt(self, *arguments: str) -> str:
        """Runs apt-get with its own state, as if nothing were installed."""
        state = self.folder / "apt"
        options = {
            "Dir::State": f"{state}/state",
            "Dir::State::status": f"{state}/status",
            "Dir::Cache": f"{state}/cache",
            "APT::Architecture": _GUEST_ARCHITECTURE,
            "APT::Sandbox::User": "",
            "Debug::NoLocking": "1",
        }
        settings = [part for key, value in options.items() for part in ("-o", f"{key}={value}")]
        for architecture in (_GUEST_ARCHITECTURE, _HOST_ARCHITECTURE):
            settings += ["-o", f"APT::Architectures::={architecture}"]
        return self.run(["apt-get", *settings, *arguments])


def run_command(argv: Sequence[str]) -> str:
    """Standard output of a command; raises `CommandError` if it fails."""
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
            env={**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"},
        )
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"{argv[0]} did not finish within {_TIMEOUT_S} s") from error
    if done.returncode != 0:
        raise CommandError(_complaint(done.stderr) or f"{argv[0]} ended with {done.returncode}")
    return done.stdout


def _complaint(stderr: str) -> str:
    """The first error line of a program, else its last line."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line.partition(":")[2].strip() for line in lines if line.startswith(("E:", "ERROR:"))]
    return (errors or lines[-1:] or [""])[0]


def install(folder: Path, progress: Progress, run: Run = run_command) -> Manifest:
    """Installs the emulator in a folder, and replaces an older one."""
    _require_tools()
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as name:
            build = _Build(Path(name) / "made", run)
            manifest = _fill(build, progress)
            if folder.exists():
                # The old folder is removed with the temporary one.
                folder.rename(Path(name) / "replaced")
            build.folder.rename(folder)
    except CommandError as error:
        raise HostError(_WHAT, safe_text(str(error), 300), _hint(str(error))) from error
    except OSError as error:
        raise HostError(
            _WHAT,
            (error.strerror or str(error)).lower(),
            f"free space in {safe_text(str(folder.parent))}; the installation needs 600 MB",
        ) from error
    return manifest


def _require_tools() -> None:
    """Makes sure that this machine needs the emulator and can install it."""
    machine = platform.machine()
    if machine == ISA:
        raise HostError(
            _WHAT, f"this machine is {ISA} itself", "measure without --on, or with --on local"
        )
    if machine != "x86_64" or not sys.platform.startswith("linux"):
        raise HostError(
            _WHAT,
            f"emulation needs Linux on x86_64, and this is {sys.platform} on {machine}",
            "measure on the device with --on ssh:HOST",
        )
    missing = [tool for tool in ("apt-get", "dpkg-deb") if shutil.which(tool) is None]
    if missing:
        raise HostError(
            _WHAT,
            f"it is built from Debian packages, and this machine lacks {' and '.join(missing)}",
            "install it in a Debian or Ubuntu container, or measure on the device with "
            "--on ssh:HOST",
        )


def _fill(build: _Build, progress: Progress) -> Manifest:
    def step(number: int) -> None:
        progress(number, len(_STEPS), _STEPS[number])

    state = build.folder / "apt"
    for name in ("state/lists/partial", "cache/archives/partial"):
        (state / name).mkdir(parents=True)
    (state / "status").touch()
    step(0)
    build.apt("update")
    step(1)
    build.apt(
        *("--yes", "--no-install-recommends", "--download-only", "install"),
        *("python3", "libstdc++6", f"{_EMULATOR_PACKAGE}:{_HOST_ARCHITECTURE}"),
    )
    step(2)
    _unpack_packages(build, state / "cache" / "archives")
    python, python_version = _interpreter(build.folder / "root")
    step(3)
    wheels = _download_wheels(build, python_version)
    step(4)
    for wheel in wheels.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(build.folder / "site")
    shutil.rmtree(wheels)
    shutil.rmtree(state)
    emulator = _emulator(build.folder)
    output = build.run([str(build.folder / emulator), "--version"])
    version = re.search(r"version (\d+(?:\.\d+)*)", output)
    manifest = Manifest(
        format=FORMAT,
        emulator=emulator,
        emulator_version=version[1] if version else "of unknown version",
        python=python,
        python_version=python_version,
        onnxruntime=importlib.metadata.version("onnxruntime"),
    )
    (build.folder / MANIFEST).write_bytes(msgspec.json.encode(manifest))
    return manifest


def _unpack_packages(build: _Build, archives: Path) -> None:
    """Unpacks the guest's packages and the emulator."""
    for archive in sorted(archives.glob("*.deb")):
        is_host = archive.stem.endswith(f"_{_HOST_ARCHITECTURE}")
        target = build.folder / ("emulator" if is_host else "root")
        target.mkdir(exist_ok=True)
        build.run(["dpkg-deb", "--extract", str(archive), str(target)])
        archive.unlink()
    for name in _NOT_NEEDED:
        shutil.rmtree(build.folder / "root" / name, ignore_errors=True)


def _interpreter(root: Path) -> tuple[str, str]:
    """The newest Python, relative to the folder around the root, and its version."""
    found = [
        (tuple(map(int, match.groups())), path)
        for path in (root / "usr" / "bin").glob("python3.*")
        if (match := re.fullmatch(r"python(\d+)\.(\d+)", path.name))
    ]
    if not found:
        raise CommandError("the packages do not contain Python")
    version, path = max(found)
    return str(path.relative_to(root.parent)), ".".join(map(str, version))


def _download_wheels(build: _Build, python_version: str) -> Path:
    """Downloads aarch64 wheels in the versions of this machine; returns their folder."""
    wheels = build.folder / "wheels"
    platforms = [part for tag in _MANYLINUX for part in ("--platform", f"{tag}_{ISA}")]
    pins = [f"{name}=={importlib.metadata.version(name)}" for name in ("onnxruntime", "numpy")]
    build.run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-input"),
            *("--disable-pip-version-check", "--only-binary=:all:", "--implementation", "cp"),
            *("--python-version", python_version, *platforms, "--dest", str(wheels), *pins),
        ]
    )
    return wheels


def _emulator(folder: Path) -> str:
    """The emulator, relative to the folder; removes those of other instruction sets."""
    programs = folder / "emulator" / "usr" / "bin"
    for name in _EMULATOR_NAMES:
        path = programs / name
        if path.exists():
            for other in programs.glob("qemu-*"):
                if other.name not in _EMULATOR_NAMES:
                    other.unlink()
            return str(path.relative_to(folder))
    raise CommandError(f"the package {_EMULATOR_PACKAGE} does not contain an emulator for {ISA}")


def _hint(complaint: str) -> str:
    if "404" in complaint or "Unable to locate package" in complaint:
        return (
            f"the package sources of this system have no {_GUEST_ARCHITECTURE} packages; "
            "install the runner in a Debian container"
        )
    if "No matching distribution" in complaint:
        return f"no {ISA} build exists for that Python; use a newer Debian, or other versions here"
    if "No module named pip" in complaint:
        return "run `python -m ensurepip` in this environment"
    return "check the network and the free disk space, and run it again"
