"""Makes a root from Debian's arm64 packages and the aarch64 wheels of the package index.

Nothing is installed into the system: packages are downloaded with a private configuration of
apt and unpacked. All of it happens in a folder beside the root's, which takes its place at
the end, so that a root is either whole or not there.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from feasibility.errors import HostError
from feasibility.runners.emulator.installed_emulator import FORMAT, ISA, MANIFEST, Manifest
from feasibility.text import safe_text

Tell: TypeAlias = Callable[[int, int, str], None]
"""Called with the steps done, the steps in all, and what is being done now."""

Run: TypeAlias = Callable[[Sequence[str]], str]
"""Runs a command and gives its standard output; raises `CommandError`."""

WHAT: Final = f"Cannot install the runner {ISA}"
_STEPS: Final = (
    "reading the package lists",
    "downloading packages",
    "unpacking packages",
    "downloading wheels",
    "unpacking wheels",
)
_GUEST_PACKAGES: Final = ("python3", "libstdc++6")
_EMULATOR_PACKAGE: Final = "qemu-user-static"
_EMULATOR_NAMES: Final = ("qemu-aarch64-static", "qemu-aarch64")
_HOST_ARCHITECTURES: Final = {"x86_64": "amd64"}
_GUEST_ARCHITECTURE: Final = "arm64"
_TIMEOUT_S: Final = 1800
# Oldest to newest glibc that wheels have been built against.
_MANYLINUX: Final = ("manylinux2014", *(f"manylinux_2_{minor}" for minor in range(17, 37)))
_NOT_NEEDED: Final = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info")


class CommandError(Exception):
    """A command that failed; its text is the last that it said."""


@dataclass(frozen=True, slots=True)
class _Workshop:
    """The folder that becomes the root."""

    folder: Path
    run: Run

    @property
    def root(self) -> Path:
        return self.folder / "root"

    def apt(self, *arguments: str) -> str:
        """Runs apt-get on state of its own, as if nothing were installed."""
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
        for architecture in (_GUEST_ARCHITECTURE, _host_architecture()):
            settings += ["-o", f"APT::Architectures::={architecture}"]
        return self.run(["apt-get", *settings, *arguments])


def install(folder: Path, tell: Tell, run: Run | None = None) -> Manifest:
    """Puts a root into the folder, in place of one that is there.

    Args:
        folder: Where it goes.
        tell: Told before each step.
        run: Runs commands; for tests.

    Raises:
        HostError: This machine lacks something, or a download failed.
    """
    _require_tools()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _workshop(folder, run or run_command) as workshop:
        try:
            manifest = _fill(workshop, tell)
        except CommandError as error:
            raise HostError(WHAT, safe_text(str(error), 300), _hint(str(error))) from error
        except OSError as error:
            raise HostError(
                WHAT,
                (error.strerror or str(error)).lower(),
                f"check the room in {safe_text(str(folder.parent))}; 600 MB are needed meanwhile",
            ) from error
        _put_in_place(workshop.folder, folder)
    return manifest


def run_command(argv: Sequence[str]) -> str:
    """Standard output of a command.

    Raises:
        CommandError: It failed.
    """
    environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
            env=environment,
        )
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"{argv[0]} was not done after {_TIMEOUT_S} s") from error
    if done.returncode != 0:
        raise CommandError(_complaint(done.stderr) or f"{argv[0]} ended with {done.returncode}")
    return done.stdout


def _complaint(stderr: str) -> str:
    """The first line in which a program complains, else its last one."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    for line in lines:
        if line.startswith(("E:", "ERROR:")):
            return line.partition(":")[2].strip()
    return lines[-1] if lines else ""


def _require_tools() -> None:
    """Stops where the host is not Debian-like, or not a machine that has to emulate."""
    machine = platform.machine()
    if machine == ISA:
        raise HostError(
            WHAT, f"this machine is {ISA} itself", "measure without --on, or with --on local"
        )
    if machine not in _HOST_ARCHITECTURES or not sys.platform.startswith("linux"):
        raise HostError(
            WHAT,
            f"emulation needs Linux on x86_64, and this is {sys.platform} on {machine}",
            "measure on the device with --on ssh:HOST",
        )
    missing = [tool for tool in ("apt-get", "dpkg-deb") if shutil.which(tool) is None]
    if missing:
        raise HostError(
            WHAT,
            f"its parts come from Debian's packages, and there is no {' and no '.join(missing)}",
            "install it in a Debian or Ubuntu container, or measure on the device with "
            "--on ssh:HOST",
        )


def _host_architecture() -> str:
    return _HOST_ARCHITECTURES[platform.machine()]


@contextlib.contextmanager
def _workshop(folder: Path, run: Run) -> Iterator[_Workshop]:
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as name:
        yield _Workshop(Path(name) / "made", run)


def _fill(workshop: _Workshop, tell: Tell) -> Manifest:
    def step(number: int) -> None:
        tell(number, len(_STEPS), _STEPS[number])

    state = workshop.folder / "apt"
    for name in ("state/lists/partial", "cache/archives/partial"):
        (state / name).mkdir(parents=True)
    (state / "status").touch()
    step(0)
    workshop.apt("update")
    step(1)
    emulator = f"{_EMULATOR_PACKAGE}:{_host_architecture()}"
    workshop.apt(
        *("--yes", "--no-install-recommends", "--download-only", "install"),
        *(*_GUEST_PACKAGES, emulator),
    )
    step(2)
    packages = _unpack_packages(workshop, state / "cache" / "archives")
    python, python_version = _interpreter(workshop.root)
    step(3)
    wheels = _download_wheels(workshop, python_version)
    step(4)
    _unpack_wheels(workshop, wheels)
    shutil.rmtree(state)
    manifest = Manifest(
        format=FORMAT,
        emulator=_emulator(workshop.folder),
        emulator_version=_emulator_version(workshop),
        python=python,
        python_version=python_version,
        onnxruntime=importlib.metadata.version("onnxruntime"),
        numpy=importlib.metadata.version("numpy"),
        packages=packages,
    )
    (workshop.folder / MANIFEST).write_bytes(msgspec.json.encode(manifest))
    return manifest


def _unpack_packages(workshop: _Workshop, archives: Path) -> dict[str, str]:
    """Unpacks the guest's packages into the root and the emulator beside it; their versions."""
    packages = {}
    for archive in sorted(archives.glob("*.deb")):
        name, version, architecture = archive.stem.split("_")
        is_host = architecture == _host_architecture()
        target = workshop.folder / "emulator" if is_host else workshop.root
        target.mkdir(exist_ok=True)
        workshop.run(["dpkg-deb", "--extract", str(archive), str(target)])
        packages[name] = version.replace("%3a", ":")
        archive.unlink()
    for name in _NOT_NEEDED:
        shutil.rmtree(workshop.root / name, ignore_errors=True)
    return packages


def _interpreter(root: Path) -> tuple[str, str]:
    """The newest Python in the root, relative to the folder around it, and its version."""
    found = [
        (tuple(map(int, match.groups())), path)
        for path in (root / "usr" / "bin").glob("python3.*")
        if (match := re.fullmatch(r"python(\d+)\.(\d+)", path.name))
    ]
    if not found:
        raise CommandError("the packages hold no Python")
    version, path = max(found)
    return str(path.relative_to(root.parent)), ".".join(map(str, version))


def _download_wheels(workshop: _Workshop, python_version: str) -> Path:
    """The aarch64 builds of what runs here, in the same versions."""
    wheels = workshop.folder / "wheels"
    platforms = [part for tag in _MANYLINUX for part in ("--platform", f"{tag}_{ISA}")]
    pins = [f"{name}=={importlib.metadata.version(name)}" for name in ("onnxruntime", "numpy")]
    workshop.run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-input"),
            *("--disable-pip-version-check", "--only-binary=:all:", "--implementation", "cp"),
            *("--python-version", python_version, *platforms, "--dest", str(wheels), *pins),
        ]
    )
    return wheels


def _unpack_wheels(workshop: _Workshop, wheels: Path) -> None:
    for wheel in wheels.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(workshop.folder / "site")
    shutil.rmtree(wheels)


def _emulator(folder: Path) -> str:
    """The emulator, relative to the folder; those of other instruction sets are removed."""
    programs = folder / "emulator" / "usr" / "bin"
    for name in _EMULATOR_NAMES:
        path = programs / name
        if path.exists():
            for other in programs.glob("qemu-*"):
                if other.name not in _EMULATOR_NAMES:
                    other.unlink()
            return str(path.relative_to(folder))
    raise CommandError(f"the package {_EMULATOR_PACKAGE} holds no emulator for {ISA}")


def _emulator_version(workshop: _Workshop) -> str:
    said = workshop.run([str(workshop.folder / _emulator(workshop.folder)), "--version"])
    match = re.search(r"version (\d+(?:\.\d+)*)", said)
    return match[1] if match else "of unknown version"


def _put_in_place(made: Path, folder: Path) -> None:
    """Lets the new root take the place of the old one; the old one goes with the workshop."""
    if folder.exists():
        folder.rename(made.with_name("replaced"))
    made.rename(folder)


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
    return "check the network and the room on the disk, and run it again"
