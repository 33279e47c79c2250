"""One test per message that the command line itself gives: what, why, and what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from feasibility.commands.app import COMMANDS
from feasibility.commands.host_checks import (
    check_allocator,
    check_cores,
    check_free_memory,
    check_governor,
    check_limits,
    check_package,
    check_page_kinds,
    check_peaks,
    check_providers,
)
from feasibility.json_documents import DOCUMENTS
from feasibility.records.doctor import HostCheck
from feasibility.units import GIB, MIB
from tests.cli import Result, Stages, cli, stages

__all__ = ["cli", "stages"]

Cli = Callable[..., Result]

USAGE = {
    ("chekc",): (
        "error: Cannot run 'chekc': this command does not exist\n"
        "hint: did you mean `feasibility check`?\n"
    ),
    ("model.onnx",): (
        "error: Cannot run 'model.onnx': this command does not exist\n"
        "hint: did you mean `feasibility check model.onnx`?\n"
    ),
    ("zzz",): (
        "error: Cannot run 'zzz': this command does not exist\n"
        f"hint: the commands are {', '.join(COMMANDS)}; see `feasibility --help`\n"
    ),
    ("--nope",): (
        "error: Cannot run `feasibility`: No such option: --nope\nhint: see `feasibility --help`\n"
    ),
    ("check",): (
        "error: Cannot run `feasibility check`: Missing argument 'MODEL'\n"
        "hint: see `feasibility check --help`\n"
    ),
    ("measure", "m.onnx", "--warmpu", "2"): (
        "error: Cannot run `feasibility measure`: No such option: --warmpu "
        "(Possible options: --warmup)\n"
        "hint: see `feasibility measure --help`\n"
    ),
    ("check", "m.onnx", "--require", "maybe"): (
        "error: Cannot run `feasibility check`: Invalid value for '--require': "
        "'maybe' is not one of 'fits', 'tight', 'fits-with-changes'\n"
        "hint: see `feasibility check --help`\n"
    ),
    ("check", "m.onnx", "--memory", "200"): (
        "error: Cannot read the size '200': a size is a number and one of the units "
        "b, kb, mb, gb, tb, kib, mib, gib, tib\n"
        "hint: write for example 200MB (10^6 bytes) or 200MiB (2^20 bytes)\n"
    ),
    ("measure", "m.onnx", "--on", ""): (
        "error: Cannot measure on '': a runner is one of local, ssh:[USER@]HOST, docker:IMAGE, "
        "podman:IMAGE, emulate:aarch64[:CPU]\n"
        "hint: for example --on ssh:pi@raspberrypi or --on emulate:aarch64\n"
    ),
    ("check", "m.onnx", "--rate", "1e12"): (
        "error: Cannot read --rate '1e12': a rate is a plain number above zero, at most "
        "1,000,000,000 inferences per second\n"
        "hint: write for example --rate 30 or --rate 10/min\n"
    ),
    ("check", "m.onnx", "--latency", "fast"): (
        "error: Cannot read the duration 'fast': a duration is a number and one of the units "
        "ns, us, µs, μs, ms, s, min\n"
        "hint: write for example 50ms or 1.5s\n"
    ),
    ("inspect", "m.onnx", "--dim", "batch"): (
        "error: Cannot read --dim 'batch': it must be a name, an equals sign and a value\n"
        "hint: write for example --dim batch=4\n"
    ),
    ("inspect", "m.onnx", "--dim", "batch=-1"): (
        "error: Cannot read --dim batch=-1: a size is a whole number, zero or more\n"
        "hint: write for example --dim batch=4\n"
    ),
    ("inspect", "m.onnx", "--dim", "N=1", "--dim", "N=2"): (
        "error: Cannot read --dim 'N=2': 'N' is given twice\nhint: keep one of them\n"
    ),
    ("measure", "m.onnx", "--input", "x.npy"): (
        "error: Cannot read --input 'x.npy': it must be a name, an equals sign and a value\n"
        "hint: write for example --input pixels=cat.npy\n"
    ),
    ("schema", "nope"): (
        "error: Cannot find the document 'nope': the documents are "
        f"{', '.join(sorted(DOCUMENTS))}\n"
        "hint: for example: feasibility schema profile\n"
    ),
}


@pytest.mark.parametrize("args", USAGE, ids=" ".join)
def test_wrong_usage_is_one_message(cli: Cli, stages: Stages, args: tuple[str, ...]) -> None:
    assert cli(*args) == Result(2, "", USAGE[args])
    assert stages.measured == []
    assert stages.inspected == []


@pytest.mark.parametrize(
    ("make", "why", "hint"),
    [
        (
            lambda folder: folder,
            "it exists and is not a regular file",
            "--json prints the document on stdout",
        ),
        (
            lambda folder: folder / "missing" / "p.json",
            "no such file or directory",
            "check the folder, its permissions and the free space",
        ),
        (
            lambda folder: Path("-"),
            "--output needs the name of a file",
            "--json prints the document on stdout",
        ),
    ],
    ids=["folder", "missing", "dash"],
)
def test_an_output_that_cannot_be_written(
    cli: Cli,
    stages: Stages,
    tmp_path: Path,
    make: Callable[[Path], Path],
    why: str,
    hint: str,
) -> None:
    path = make(tmp_path)
    result = cli("measure", "m.onnx", "-o", path)
    assert result == Result(2, "", f"error: Cannot write {path}: {why}\nhint: {hint}\n")
    assert stages.measured == []


def test_an_output_that_is_there_already(cli: Cli, stages: Stages, tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.touch()
    assert cli("measure", "m.onnx", "-o", path) == Result(
        2,
        "",
        f"error: Cannot write {path}: the file exists\n"
        "hint: choose another name, or replace it with --force\n",
    )


def test_a_bug_is_called_one(cli: Cli, stages: Stages) -> None:
    result = cli("measure", "bug.onnx", "-q")
    assert result == Result(
        2,
        "",
        "error: This is a bug in feasibility: ZeroDivisionError: division by zero\\x1b[2J\n"
        "hint: set FEASIBILITY_TRACEBACK=1, run the command again and report the traceback\n",
    )


def test_the_traceback_can_be_asked_for(
    cli: Cli, stages: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEASIBILITY_TRACEBACK", "1")
    assert "Traceback (most recent call last)" in cli("measure", "bug.onnx", "-q").err


def test_a_profile_that_is_none(cli: Cli, tmp_path: Path, stages: Stages) -> None:
    path = tmp_path / "p.json"
    path.write_text("{}")
    result = cli("check", path)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(f"error: Cannot read figures from {path}: its format is not known")


def test_an_unknown_device(cli: Cli, stages: Stages) -> None:
    result = cli("check", "m.onnx", "--device", "pi6")
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("error: Cannot find device 'pi6'")
    assert stages.measured == []


def test_a_device_file_that_is_not_valid(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "d.toml"
    path.write_text("nonsense")
    result = cli("devices", "validate", path)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(f"error: Device file {path} is not valid")


def test_hostile_arguments_are_harmless(cli: Cli) -> None:
    result = cli("\x1b[2Jx")
    assert (result.code, result.out) == (2, "")
    assert "\x1b" not in result.err


def test_colour_of_errors_follows_the_environment(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert cli("zzz").err.startswith("\x1b[1;31merror\x1b[0m: ")
    monkeypatch.setenv("NO_COLOR", "1")
    assert cli("zzz").err.startswith("error: ")


def test_doctor_says_one_thing_per_instrument(cli: Cli) -> None:
    result = cli("doctor")
    assert (result.code, result.err) == (0, "")
    for subject in ("memory peaks", "C allocator", "memray", "runtime", "processor"):
        assert f"\n{subject}  " in f"\n{result.out}"


def test_doctor_without_clear_refs(tmp_path: Path) -> None:
    found = check_peaks(tmp_path / "missing" / "clear_refs")
    assert (found.state, "no such file" in found.finding) == ("limited", True)
    assert found.hint


def test_doctor_without_smaps_rollup(tmp_path: Path) -> None:
    assert check_page_kinds(tmp_path / "smaps_rollup").state == "limited"


def test_doctor_with_another_allocator() -> None:
    assert check_allocator("glibc", "2.36").state == "ok"
    assert check_allocator("", "").state == "limited"


def test_doctor_without_a_package() -> None:
    assert check_package("no-such-package-here", "nothing") == HostCheck(
        subject="no-such-package-here",
        state="missing",
        finding="not installed; needed for nothing",
        hint="pip install no-such-package-here",
    )


def test_doctor_names_the_providers() -> None:
    found = check_providers(lambda: ("1.2.3", ("CUDAExecutionProvider", "CPUExecutionProvider")))
    assert found.finding == "ONNX Runtime 1.2.3 with the providers CUDA, CPU"


def test_doctor_without_a_runtime() -> None:
    def fails() -> tuple[str, tuple[str, ...]]:
        raise ImportError("no library")

    assert check_providers(fails).state == "missing"


def test_doctor_tells_what_limits_memory() -> None:
    found = check_limits(Path("/proc/self"))
    if found.state == "ok":
        assert found.finding.startswith("enforced by the kernel: cgroup v")
    else:
        assert found.hint


def test_doctor_without_control_groups(tmp_path: Path) -> None:
    assert check_limits(tmp_path) == HostCheck(
        subject="memory limits",
        state="limited",
        finding="only a limit on allocated private memory, used or not "
        "(no control groups are mounted here)",
    )


def test_doctor_without_the_memory_controller(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu pids\n")
    (tmp_path / "mountinfo").write_text(f"1 1 0:1 / {tmp_path} rw - cgroup2 none rw\n")
    (tmp_path / "cgroup").write_text("0::/\n")
    found = check_limits(tmp_path)
    assert "cgroup v2 has no memory controller here" in found.finding
    assert "cgroup_enable=memory" in found.hint


@pytest.mark.parametrize(
    ("core_count", "load", "state"), [(1, 0.0, "limited"), (4, 0.5, "ok"), (4, 3.0, "limited")]
)
def test_doctor_looks_for_a_quiet_processor(core_count: int, load: float, state: str) -> None:
    assert check_cores(core_count, load).state == state


@pytest.mark.parametrize(
    ("governor", "state"), [("performance", "ok"), ("powersave", "limited"), (None, "ok")]
)
def test_doctor_looks_for_a_steady_clock(tmp_path: Path, governor: str | None, state: str) -> None:
    path = tmp_path / "scaling_governor"
    if governor is not None:
        path.write_text(f"{governor}\n")
    assert check_governor(path).state == state


@pytest.mark.parametrize(
    ("free_bytes", "state"),
    [(8 * GIB, "ok"), (MIB, "limited")],
)
def test_doctor_looks_for_free_memory(free_bytes: int, state: str) -> None:
    assert check_free_memory(free_bytes).state == state
