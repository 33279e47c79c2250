"""Emulation: the guest's memory, the root that is needed for it, and the emulator itself."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import signal
import zipfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from feasibility.errors import HostError, UsageError
from feasibility.measure.measure_model import measure_model
from feasibility.runners.child_process import ChildResult
from feasibility.runners.child_protocol import Done, Failed, Loaded, MemoryReading, Ready
from feasibility.runners.emulation_overhead import EmulatorWatcher, emulator_bytes
from feasibility.runners.emulator import install as install_module
from feasibility.runners.emulator.arm_cores import cpuinfo, emulated_core
from feasibility.runners.emulator.emulated_runner import EmulatedRunner, EmulatedSession
from feasibility.runners.emulator.install import CommandError, install
from feasibility.runners.emulator.installed_emulator import (
    MANIFEST,
    Manifest,
    emulator_folder,
    usable_emulator,
)
from feasibility.runners.named_runners import runner_named
from feasibility.zoo.architectures import build

MIB = 1024**2
SMAPS = """\
555500000000-555500010000 r--p 00000000 fe:00 123    /usr/bin/qemu-aarch64-static
Rss:                 900 kB
Anonymous:             0 kB
7f0000000000-7f0008000000 rwxp 00000000 00:00 0
Size:             131072 kB
Rss:               51200 kB
Anonymous:         51200 kB
7f0010000000-7f0018000000 rw-p 00000000 00:00 0
Rss:              100000 kB
ProtectionKey:         0
55557b383000-55557c145000 rw-p 00000000 00:00 0                          [heap]
Rss:               10240 kB
"""


def reading(resident: int, emulator: int) -> MemoryReading:
    return MemoryReading(
        resident_bytes=resident * MIB,
        anonymous_bytes=(resident - 20) * MIB,
        file_bytes=20 * MIB,
        pss_bytes=(resident - 5) * MIB,
        private_dirty_bytes=(resident - 30) * MIB,
        emulator_bytes=emulator * MIB,
    )


def test_the_emulators_own_are_its_code_and_its_heap() -> None:
    assert emulator_bytes(SMAPS) == (51200 + 10240) * 1024


def test_readings_lose_the_translated_code() -> None:
    watcher = EmulatorWatcher(None)
    event = Ready(versions={}, modules=(), baseline=reading(117, 50), peak_source="vmhwm")
    corrected = watcher.corrected(event)
    assert isinstance(corrected, Ready)
    assert corrected.baseline.resident_bytes == 67 * MIB
    assert corrected.baseline.anonymous_bytes == 47 * MIB
    assert corrected.baseline.pss_bytes == 62 * MIB
    assert corrected.baseline.file_bytes == 20 * MIB


def test_a_peak_is_corrected_by_the_code_of_its_moment() -> None:
    """The mark rose to 494 with 60 MiB of code; that 70 were there in the end is no matter."""
    watcher = EmulatorWatcher(None)
    watcher._rises += [(400 * MIB, 55 * MIB), (494 * MIB, 60 * MIB)]
    corrected = watcher.corrected(Loaded(load_ns=1, peak_bytes=494 * MIB, memory=reading(325, 70)))
    assert isinstance(corrected, Loaded)
    assert corrected.peak_bytes == 434 * MIB


def test_marks_of_an_earlier_phase_do_not_count() -> None:
    watcher = EmulatorWatcher(None)
    watcher._rises += [(494 * MIB, 60 * MIB)]
    done = Done(
        first_run_ns=1, warmup_count=0, samples_ns=(), peak_bytes=352 * MIB, memory=reading(350, 72)
    )
    corrected = watcher.corrected(done)
    assert isinstance(corrected, Done)
    assert corrected.peak_bytes == 280 * MIB


def test_a_watcher_outlives_its_child() -> None:
    EmulatorWatcher(2**22 + 1).observe()


@pytest.mark.parametrize(
    ("cores", "model"),
    [
        (["cortex-a53"], "cortex-a53"),
        (["cortex-a73", "cortex-a53"], "cortex-a72"),
        (["cortex-x4", "cortex-a720"], "cortex-a76"),
        (["firestorm"], "cortex-a76"),
        (["neoverse-v1"], "neoverse-n1"),
        ([], "cortex-a72"),
    ],
)
def test_the_emulated_core_follows_the_device(cores: list[str], model: str) -> None:
    assert emulated_core(cores) == model


def test_every_processor_is_described() -> None:
    text = cpuinfo("cortex-a53", 3)
    assert text.count("processor\t:") == 3
    assert text.count("CPU part\t: 0xd03") == 3


@pytest.mark.parametrize("text", ["emulate:riscv64", "emulate:aarch64:z80", "emulate", "there"])
def test_what_cannot_be_emulated_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        runner_named(text)


# The root.


def make_root(folder: Path, **changes: object) -> Manifest:
    for name in (
        "emulator/qemu",
        "root/usr/bin/python3.11",
        "root/lib/ld-linux-aarch64.so.1",
        "site/onnxruntime/__init__.py",
        "site/numpy/__init__.py",
    ):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (folder / "emulator" / "qemu").write_text("#!/bin/sh\n")
    (folder / "emulator" / "qemu").chmod(0o755)
    fields: dict[str, object] = {
        "format": 1,
        "emulator": "emulator/qemu",
        "emulator_version": "7.2",
        "python": "root/usr/bin/python3.11",
        "python_version": "3.11",
        "onnxruntime": importlib.metadata.version("onnxruntime"),
    }
    manifest = Manifest(**(fields | changes))  # type: ignore[arg-type]
    (folder / MANIFEST).write_bytes(msgspec.json.encode(manifest))
    return manifest


def test_a_whole_root_is_usable(tmp_path: Path) -> None:
    manifest = make_root(tmp_path)
    assert usable_emulator(tmp_path) == manifest


def test_no_root_is_named(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="the emulator is not installed") as caught:
        usable_emulator(tmp_path / "none")
    assert caught.value.hint == "run `feasibility runner install aarch64`"


def test_an_incomplete_root_is_named(tmp_path: Path) -> None:
    make_root(tmp_path)
    shutil.rmtree(tmp_path / "site" / "numpy")
    with pytest.raises(HostError, match=r"incomplete: site/numpy/__init__\.py is missing"):
        usable_emulator(tmp_path)


def test_a_root_without_its_description_is_named(tmp_path: Path) -> None:
    make_root(tmp_path)
    (tmp_path / MANIFEST).unlink()
    with pytest.raises(HostError, match=r"incomplete: root\.json is missing"):
        usable_emulator(tmp_path)


@pytest.mark.parametrize(("content", "mode"), [("", 0o755), ("", 0o644), ("#!/bin/false\n", 0o755)])
def test_an_emulator_that_is_no_program_is_named(tmp_path: Path, content: str, mode: int) -> None:
    make_root(tmp_path)
    (tmp_path / "emulator" / "qemu").write_text(content)
    (tmp_path / "emulator" / "qemu").chmod(mode)
    with (
        pytest.raises(HostError, match="incomplete: QEMU does not start"),
        EmulatedRunner("cortex-a53", tmp_path).connect(tuple),
    ):
        pass


def test_a_root_of_another_version_is_named(tmp_path: Path) -> None:
    make_root(tmp_path, onnxruntime="1.2.3")
    with pytest.raises(HostError, match=r"has ONNX Runtime 1\.2\.3, this machine has "):
        usable_emulator(tmp_path)


def test_a_root_of_another_format_is_named(tmp_path: Path) -> None:
    make_root(tmp_path, format=99)
    with pytest.raises(HostError, match="installed by another version"):
        usable_emulator(tmp_path)


def test_the_guest_sees_the_root_and_its_core(tmp_path: Path) -> None:
    make_root(tmp_path)
    with EmulatedRunner("cortex-a53", tmp_path).connect(tuple) as session:
        view = session.guest_root
        assert (view / "lib").resolve() == tmp_path / "root" / "lib"
        assert "0xd03" in (view / "proc" / "cpuinfo").read_text()
        command = session.command({"MALLOC_TRIM_THRESHOLD_": "1"})
        argv = command.argv
        assert argv[argv.index("-E") + 1] == "MALLOC_TRIM_THRESHOLD_=1"
        assert argv[argv.index("-cpu") + 1] == "cortex-a53"
        assert "MALLOC_TRIM_THRESHOLD_" not in command.environment
    assert not view.exists()


READY = Ready(versions={}, modules=(), baseline=reading(100, 50), peak_source="vmhwm")


def ended(**changes: object) -> ChildResult:
    fields: dict[str, object] = {
        "ending": "signal",
        "events": (),
        "signal_number": None,
        "exit_code": None,
        "stderr_tail": "",
        "wall_ns": 1,
        "timeout_s": 1.0,
    }
    return ChildResult(**(fields | changes))  # type: ignore[arg-type]


@pytest.fixture
def session(tmp_path: Path) -> EmulatedSession:
    make_root(tmp_path)
    with EmulatedRunner("cortex-a53", tmp_path).connect(tuple) as reached:
        return reached


def test_an_unknown_instruction_is_named(session: EmulatedSession) -> None:
    fault = session.host_error(ended(signal_number=signal.SIGILL))
    assert fault is not None
    assert "an instruction that cortex-a53 does not have" in fault.why


def test_an_emulator_that_cannot_start_is_named(session: EmulatedSession) -> None:
    words = "qemu-aarch64-static: Could not open '/lib/ld-linux-aarch64.so.1'\n"
    fault = session.host_error(ended(ending="silent", exit_code=255, stderr_tail=words))
    assert fault is not None
    assert "Could not open" in fault.why


def failed_to_import(message: str) -> Failed:
    return Failed(phase="import", error_type="ImportError", message=message)


@pytest.mark.parametrize(
    ("result", "why"),
    [
        (ended(signal_number=signal.SIGBUS), "its Python was ended by SIGBUS"),
        (
            ended(
                ending="failed",
                events=(
                    failed_to_import("READ THIS\n\nOriginal error was:\nlibstdc++.so.6: none\n"),
                ),
            ),
            "libstdc++.so.6: none",
        ),
        (ended(ending="silent", exit_code=1), "its Python does not start"),
    ],
)
def test_a_guest_that_does_not_reach_the_runtime_is_the_roots_fault(
    session: EmulatedSession, result: ChildResult, why: str
) -> None:
    """As when files of it were removed or cut short."""
    fault = session.host_error(result)
    assert fault is not None
    assert fault.why == f"the emulator is incomplete: {why}"
    assert fault.hint == "run `feasibility runner install aarch64`"


def test_what_the_model_did_is_no_fault_of_the_emulator(session: EmulatedSession) -> None:
    assert session.host_error(ended(signal_number=signal.SIGSEGV, events=(READY,))) is None
    assert session.host_error(ended(ending="done")) is None
    assert session.host_error(ended(ending="timeout")) is None


# Installing.


class Shell:
    """Stands in for apt, dpkg-deb, pip and the emulator."""

    def __init__(self, failing: str = "") -> None:
        self.failing = failing
        self.commands: list[Sequence[str]] = []

    def __call__(self, argv: Sequence[str]) -> str:
        self.commands.append(argv)
        if self.failing and self.failing in argv:
            raise CommandError(f"{self.failing} does not work")
        options = dict(part.split("=", 1) for part in argv if part.startswith("Dir::"))
        if "--download-only" in argv:
            archives = Path(options["Dir::Cache"]) / "archives"
            (archives / "python3.11_3.11.2_arm64.deb").touch()
            (archives / "qemu-user-static_1%3a7.2_amd64.deb").touch()
        if argv[0] == "dpkg-deb":
            name = Path(argv[2]).name
            target = Path(argv[3]) / "usr" / "bin"
            target.mkdir(parents=True)
            wanted = (
                ["qemu-aarch64-static", "qemu-m68k-static"] if "qemu" in name else ["python3.11"]
            )
            for program in wanted:
                (target / program).touch()
        if "pip" in argv:
            wheels = Path(argv[argv.index("--dest") + 1])
            wheels.mkdir()
            with zipfile.ZipFile(wheels / "numpy.whl", "w") as wheel:
                wheel.writestr("numpy/__init__.py", "")
        return "qemu-aarch64 version 7.2.22 (Debian)" if "--version" in argv else ""


@pytest.fixture
def debian(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install_module.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(install_module.shutil, "which", lambda name: f"/usr/bin/{name}")


def silent(done: int, total: int, doing: str) -> None:
    """Tells nobody."""


@pytest.mark.usefixtures("debian")
def test_a_root_is_made_and_takes_its_place(tmp_path: Path) -> None:
    folder = tmp_path / "runners" / "aarch64"
    folder.mkdir(parents=True)
    (folder / "old").touch()
    shell = Shell()
    manifest = install(folder, silent, shell)
    assert manifest.emulator_version == "7.2.22"
    assert manifest.python == "root/usr/bin/python3.11"
    assert manifest.onnxruntime == importlib.metadata.version("onnxruntime")
    assert sorted(path.name for path in folder.iterdir()) == [
        "emulator",
        "root",
        "root.json",
        "site",
    ]
    assert [path.name for path in (folder / "emulator/usr/bin").iterdir()] == [
        "qemu-aarch64-static"
    ]
    assert [path.name for path in folder.parent.iterdir()] == ["aarch64"]
    pip = next(command for command in shell.commands if "pip" in command)
    assert f"onnxruntime=={manifest.onnxruntime}" in pip
    assert "manylinux_2_28_aarch64" in pip


@pytest.mark.usefixtures("debian")
@pytest.mark.parametrize("failing", ["update", "--download-only", "--extract", "pip"])
def test_a_failure_leaves_the_old_root(tmp_path: Path, failing: str) -> None:
    folder = tmp_path / "aarch64"
    folder.mkdir()
    (folder / "old").touch()
    with pytest.raises(HostError, match="does not work"):
        install(folder, silent, Shell(failing))
    assert [path.name for path in tmp_path.iterdir()] == ["aarch64"]
    assert [path.name for path in folder.iterdir()] == ["old"]


@pytest.mark.usefixtures("debian")
def test_a_full_disk_is_named(tmp_path: Path) -> None:
    def full(argv: Sequence[str]) -> str:
        raise OSError(28, os.strerror(28))

    with pytest.raises(HostError, match="no space left on device"):
        install(tmp_path / "aarch64", silent, full)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("machine", "why"), [("aarch64", "this machine is aarch64 itself"), ("riscv64", "on riscv64")]
)
def test_other_machines_are_told(
    machine: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install_module.platform, "machine", lambda: machine)
    with pytest.raises(HostError, match=why):
        install(tmp_path / "aarch64", silent, Shell())


def test_a_system_without_debian_packages_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install_module.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(install_module.shutil, "which", lambda name: None)
    with pytest.raises(HostError, match="lacks apt-get and dpkg-deb"):
        install(tmp_path / "aarch64", silent, Shell())


# The real thing.


@pytest.mark.slow
@pytest.mark.skipif(not emulator_folder().exists(), reason="the runner aarch64 is not installed")
def test_a_model_is_measured_under_emulation() -> None:
    """A network of convolutions keeps one copy of its weights there, and has no latency."""
    profile = measure_model(build("yamnet"), runner=EmulatedRunner())
    assert profile.method == "emulated"
    assert profile.host.arch == "aarch64"
    assert profile.latency is None
    assert profile.operators == ()
    assert profile.memory is not None
    weights = profile.model.initializer_bytes or 0
    assert weights < profile.memory.load_peak_bytes < 2 * weights + 16 * MIB
    assert 45 * MIB < profile.memory.baseline_bytes < 75 * MIB
    assert [notice.code for notice in profile.warnings] == ["emulated"]
