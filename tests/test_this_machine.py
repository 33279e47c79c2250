"""`devices this`: what it reads, how it measures, what it writes; and parts of the catalogue."""

from __future__ import annotations

import itertools
import json
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feasibility.catalogue.load_catalogue import filtered_devices, known_devices, load_catalogue
from feasibility.catalogue.read_device_file import read_device
from feasibility.commands import devices as devices_command
from feasibility.commands.app import run
from feasibility.commands.devices_this import measure_this_machine
from feasibility.errors import DeviceError, MeasurementError, UsageError
from feasibility.measure.this_machine import measure_speed as speed
from feasibility.measure.this_machine.core_clusters import (
    CoreCluster,
    cpu_quota,
    last_cache_bytes,
    read_clusters,
    read_extensions,
)
from feasibility.measure.this_machine.machine_facts import memory_grant, read_machine
from feasibility.paths import devices_dir
from feasibility.predict.latency.measured_rates import KINDS
from feasibility.records.device import UNVERIFIED, Kind
from feasibility.runners.child_protocol import Schedule
from feasibility.units import GIB, KIB, MIB
from feasibility.zoo.single_operator_networks import KERNELS
from tests.machine_samples import cpuinfo, written

CATALOGUE = load_catalogue(devices_dir())
QUICK = speed.Pace(
    schedule=Schedule(run_count_min=2, run_count_max=2, warmup_count=0), round_count=1
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(speed, "Pace", lambda: QUICK)
    return tmp_path / "data" / "feasibility" / "devices"


Told = list[tuple[int, int, str]]


@pytest.fixture(scope="module")
def measured() -> tuple[speed.Speed, Told]:
    """The speed of this machine with one thread and with two, and the progress that was shown."""
    told: Told = []
    found = speed.measure_speed(
        (1, 2),
        cache_bytes=MIB,
        free_bytes=GIB,
        pace=QUICK,
        progress=lambda done, total, doing: told.append((done, total, doing)),
    )
    return found, told


@pytest.fixture
def is_measured(measured: tuple[speed.Speed, Told], monkeypatch: pytest.MonkeyPatch) -> None:
    """A command gets that speed without another measurement."""
    monkeypatch.setattr(
        "feasibility.commands.devices_this.measure_speed", lambda *_, **__: measured[0]
    )


def test_every_kernel_is_timed_with_every_number_of_threads(
    measured: tuple[speed.Speed, Told],
) -> None:
    found, told = measured
    assert list(found.times) == [1, 2]
    for times in found.times.values():
        assert set(times) == {*KERNELS, speed.BUS}
        assert all(kernel.ns > 0 for kernel in times.values())
    assert found.bus_bytes == 16 * MIB
    assert found.baseline_bytes > 10 * MIB
    assert "onnxruntime" in found.versions
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
    assert told[-1] == (told[-1][1], told[-1][1], "")


def test_the_kernels_do_the_work_they_are_named_after(
    measured: tuple[speed.Speed, Told],
) -> None:
    """Else a rate would be written under the wrong kind."""
    times = measured[0].times[1]
    largest = {
        name: max(kernel.model.flops_by_class, key=kernel.model.flops_by_class.__getitem__)
        for name, kernel in times.items()
        if name in KINDS
    }
    assert largest == {
        "dense": "conv",
        "pointwise": "pointwise_conv",
        "depthwise": "depthwise_conv",
        "matmul": "matmul",
        "vector": "matmul",
        "recurrent": "recurrent",
        "other": "normalization",
        "int8_dense": "conv",
        "int8_matmul": "matmul",
    }


def test_every_kernel_is_timed_once_however_slow_the_machine_is() -> None:
    """Further rounds are for machines that have the time."""
    pace = speed.Pace(schedule=QUICK.schedule, round_count=3, time_ns=0)
    told: list[int] = []
    found = speed.measure_speed(
        (1,),
        cache_bytes=None,
        free_bytes=GIB,
        pace=pace,
        progress=lambda done, total, doing: told.append(done),
    )
    assert set(found.times[1]) == {*KERNELS, speed.BUS}
    assert told[-2] == len(found.times[1])


def test_a_machine_far_too_slow_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "_FIRST_ROUND_S", 0.01)
    with pytest.raises(MeasurementError, match=r"took longer than 0.01 s"):
        speed.measure_speed(
            (1,),
            cache_bytes=None,
            free_bytes=GIB,
            pace=speed.Pace(schedule=QUICK.schedule, round_count=1, time_ns=0),
        )


def test_a_child_without_memory_is_an_error() -> None:
    with pytest.raises(MeasurementError, match=r"^Cannot measure this machine: ") as caught:
        speed.measure_speed((1,), cache_bytes=None, free_bytes=100 * MIB, pace=QUICK)
    assert caught.value.hint == "close other programs; 200 MiB of free memory is enough"


def test_the_machine_becomes_a_device_at_once(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its file is valid, says where each figure comes from, and `this` is a device from then on."""
    assert run(["devices", "this"]) == 0
    out, err = capsys.readouterr()
    assert "measured with 1 thread [measured for this file on " in out
    assert "next: feasibility check MODEL --device this" in err
    path = home / "this.toml"
    assert [entry.name for entry in home.iterdir()] == ["this.toml"]
    device = read_device(path)
    assert next(known for known in known_devices() if known.id == "this") == device
    assert device.measured is not None
    assert device.memory is not None
    rates = device.measured.rates[0]
    assert set(rates.operations_per_s) == set(KINDS)
    for figure in (*rates.operations_per_s.values(), device.memory.bandwidth_bytes_per_s):
        assert figure is not None
        assert figure.source.startswith("measured for this file on ")
        assert "ONNX Runtime" in figure.source
    assert device.memory.total_bytes.source.startswith("reported by the system")
    assert device.limits.latency_ns is not None
    assert device.limits.latency_ns.source == UNVERIFIED
    assert run(["devices", "validate", str(path)]) == 0


@pytest.mark.usefixtures("is_measured")
def test_a_file_and_a_name_may_be_given(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = home.parent.parent / 'my "board".toml'
    path.parent.mkdir()
    args = (
        "devices",
        "this",
        "-o",
        str(path),
        "--id",
        "desk",
        "--name",
        'a "b"\\',
        "--kind",
        "sbc",
    )
    assert run([*args, "--json", "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    document = json.loads(out)
    assert (document["id"], document["name"], document["kind"]) == ("desk", 'a "b"\\', "sbc")
    assert (document["role"], document["schema"]) == ("headless", "feasibility/device/1")
    assert tomllib.loads(path.read_text(encoding="utf-8"))["name"] == 'a "b"\\'
    assert not home.exists()


@pytest.mark.usefixtures("is_measured")
def test_a_file_that_is_there_is_kept(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home.mkdir(parents=True)
    (home / "this.toml").write_text("mine")
    assert run(["devices", "this"]) == 2
    assert "the file exists" in capsys.readouterr().err
    assert (home / "this.toml").read_text() == "mine"
    assert run(["devices", "this", "--force", "-q"]) == 0
    assert read_device(home / "this.toml").id == "this"


@pytest.mark.parametrize(
    ("identifier", "why"),
    [
        ("My Board", "lowercase letters, digits and underscores"),
        ("rpi_5", "the catalogue has rpi_5 under this name"),
        ("pi5", "the catalogue has rpi_5 under this name"),
    ],
)
def test_an_id_that_will_not_do_is_refused(
    home: Path, identifier: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["devices", "this", "--id", identifier]) == 2
    assert why in capsys.readouterr().err
    assert not home.exists()


def test_an_interrupt_leaves_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("feasibility.commands.devices_this.measure_speed", interrupted)
    assert run(["devices", "this"]) == 130
    assert list(home.iterdir()) == []


@pytest.mark.usefixtures("is_measured")
def test_other_numbers_than_measured_are_never_made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor whose clock nothing tells gets one that says so."""
    facts = read_machine()
    untold = (CoreCluster("arm core 0x41:0xfff", 4, None, "unknown"),)
    monkeypatch.setattr(
        "feasibility.commands.devices_this.read_machine",
        lambda: facts.__class__(
            **{name: getattr(facts, name) for name in facts.__slots__} | {"clusters": untold}
        ),
    )
    device = measure_this_machine("this", None, None, quiet=True, pace=QUICK)
    assert device.cpu is not None
    assert device.cpu.clusters[0].clock_hz.source == UNVERIFIED
    assert device.cpu.clusters[0].core == "arm core 0x41:0xfff"


@given(st.integers(1, 1000))
def test_thread_counts_start_at_one_and_reach_the_cores(core_count: int) -> None:
    counts = speed.thread_counts(core_count)
    assert counts[0] == 1
    assert counts[-1] == min(core_count, speed.MAX_THREADS)
    assert list(counts) == sorted(set(counts))
    assert all(later <= 2 * earlier for earlier, later in itertools.pairwise(counts))


@given(st.none() | st.integers(16 * KIB, 16 * GIB), st.integers(32 * MIB, 2**42))
def test_long_vectors_fit_into_memory(cache_bytes: int | None, free_bytes: int) -> None:
    length = speed.bus_bytes(cache_bytes, free_bytes)
    assert MIB <= length <= 128 * MIB
    assert length <= free_bytes // 8
    assert length >= min(2 * (cache_bytes or 0), 128 * MIB, free_bytes // 8)


PI_4 = {
    "BogoMIPS": "108.00", "Features": "fp asimd evtstrm crc32 cpuid", "CPU implementer": "0x41",
    "CPU architecture": "8", "CPU variant": "0x0", "CPU part": "0xd08", "CPU revision": "3",
}  # fmt: skip
SMALL = {**PI_4, "CPU part": "0xd05", "Features": "fp asimd asimdhp asimddp"}
BIG = {**SMALL, "CPU part": "0xd0b"}
XEON = {
    "vendor_id": "GenuineIntel", "cpu family": "6", "model": "85", "stepping": "7",
    "model name": 'Xeon "Gold"', "cpu MHz": "2500.000",
    "flags": "fpu sse avx2 fma avx512f avx512_vnni",
}  # fmt: skip
FREQUENCY = "sys/devices/system/cpu/cpu{}/cpufreq/cpuinfo_max_freq"
SIBLINGS = "sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"


def test_the_cores_of_a_board(tmp_path: Path) -> None:
    files = {"proc/cpuinfo": cpuinfo(PI_4, PI_4, PI_4, PI_4)}
    files |= {FREQUENCY.format(number): "1800000\n" for number in range(4)}
    root = written(tmp_path, files)
    assert read_clusters(root, range(4)) == (
        CoreCluster("cortex-a72", 4, 1_800_000_000, "highest clock of cpufreq"),
    )
    assert read_extensions(root) == ("neon",)


def test_big_cores_come_first(tmp_path: Path) -> None:
    files = {"proc/cpuinfo": cpuinfo(SMALL, SMALL, BIG, BIG)}
    files |= {FREQUENCY.format(number): "1800000" for number in (0, 1)}
    files |= {FREQUENCY.format(number): "2400000" for number in (2, 3)}
    root = written(tmp_path, files)
    found = [(cluster.core, cluster.core_count) for cluster in read_clusters(root, range(4))]
    assert found == [("cortex-a76", 2), ("cortex-a55", 2)]
    assert read_extensions(root) == ("neon", "fp16", "dotprod")


def test_threads_of_one_core_count_once(tmp_path: Path) -> None:
    files = {"proc/cpuinfo": cpuinfo(XEON, XEON, XEON, XEON)}
    files |= {SIBLINGS.format(number): f"{number % 2},{number % 2 + 2}" for number in range(4)}
    root = written(tmp_path, files)
    assert read_clusters(root, range(4)) == (
        CoreCluster("cascade-lake", 2, 2_500_000_000, "/proc/cpuinfo, current clock"),
    )
    assert read_clusters(root, (0, 2))[0].core_count == 1
    assert read_extensions(root) == ("avx2", "fma", "avx512", "vnni")


def test_cores_that_clock_differently_at_a_moment_are_of_one_kind(tmp_path: Path) -> None:
    clocks = ("2900.1", "3100.7", "2899.9", "1200.0")
    root = written(
        tmp_path, {"proc/cpuinfo": cpuinfo(*({**XEON, "cpu MHz": clock} for clock in clocks))}
    )
    assert read_clusters(root, range(4)) == (
        CoreCluster("cascade-lake", 4, 3_101_000_000, "/proc/cpuinfo, current clock"),
    )


def test_small_cores_of_a_hybrid_are_told_apart(tmp_path: Path) -> None:
    hybrid = {**XEON, "model": "151"}
    files = {"proc/cpuinfo": cpuinfo(hybrid, hybrid), "sys/devices/cpu_atom/cpus": "1-1\n"}
    files |= {FREQUENCY.format(0): "5000000", FREQUENCY.format(1): "3800000"}
    found = read_clusters(written(tmp_path, files), range(2))
    assert [cluster.core for cluster in found] == ["golden-cove", "gracemont"]


@pytest.mark.parametrize(
    ("files", "count"),
    [
        ({"sys/fs/cgroup/cpu.max": "150000 100000\n"}, 2),
        ({"sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        (
            {
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "100000",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            },
            1,
        ),
        (
            {
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            },
            None,
        ),
        ({}, None),
    ],
)
def test_a_quota_takes_cores_away(tmp_path: Path, files: dict[str, str], count: int | None) -> None:
    root = written(tmp_path, {"proc/cpuinfo": cpuinfo(PI_4, PI_4, PI_4, PI_4), **files})
    assert cpu_quota(root) == count
    assert read_clusters(root, range(4))[0].core_count == (count or 4)


def test_a_system_that_tells_nothing_is_described_all_the_same(tmp_path: Path) -> None:
    assert read_clusters(tmp_path, range(2)) == (CoreCluster("unknown core", 2, None, "unknown"),)
    assert read_extensions(tmp_path) == ()
    assert last_cache_bytes(tmp_path) is None


def test_the_last_cache_is_the_largest(tmp_path: Path) -> None:
    folder = "sys/devices/system/cpu/cpu0/cache"
    sizes = {"index0": "48K", "index2": "1024K", "index3": "32M"}
    root = written(tmp_path, {f"{folder}/{name}/size": size for name, size in sizes.items()})
    assert last_cache_bytes(root) == 32 * MIB


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with 2 GiB of memory, half of it available."""
    found = SimpleNamespace(total=2 * GIB, available=GIB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: found)


@pytest.mark.usefixtures("memory")
def test_a_process_gets_what_is_available(tmp_path: Path) -> None:
    grant, reason = memory_grant(tmp_path)
    assert grant == round(0.9 * GIB)
    assert reason.startswith("1 GiB were available when this was written, and no control group")


@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize(
    ("kind", "controller", "file", "unlimited"),
    [
        ("cgroup2", "", "memory.max", "max"),
        ("cgroup", "memory", "memory.limit_in_bytes", "9223372036854771712"),
    ],
)
def test_the_tightest_group_around_it_limits(
    tmp_path: Path, kind: str, controller: str, file: str, unlimited: str
) -> None:
    mount = tmp_path / "groups"
    written(
        tmp_path,
        {
            "proc/self/mountinfo": f"30 24 0:26 / {mount} rw - {kind} {kind} rw,{controller}",
            "proc/self/cgroup": f"3:{controller}:/outer/inner",
            f"groups/outer/{file}": str(100 * MIB),
            f"groups/outer/inner/{file}": unlimited,
        },
    )
    grant, reason = memory_grant(tmp_path)
    assert grant == 90 * MIB
    assert reason.startswith("a control group limits this session to 100 MiB")
    (mount / "outer" / file).write_text(unlimited)
    assert memory_grant(tmp_path)[0] == round(0.9 * GIB)


def test_the_help_names_the_kinds_of_the_records() -> None:
    assert get_args(devices_command.KindName) == get_args(Kind)


def test_devices_of_a_kind_with_a_word() -> None:
    boards = filtered_devices(CATALOGUE, kinds=["sbc"])
    assert {device.kind for device in boards} == {"sbc"}
    assert len(boards) > 5
    both = filtered_devices(CATALOGUE, kinds=["SBC", "Phones"])
    assert len(both) == len(boards) + len(filtered_devices(CATALOGUE, kinds=["phone"]))
    assert [device.id for device in both] == sorted(device.id for device in both)
    small = filtered_devices(CATALOGUE, kinds=["sbc"], words=["Cortex-A53", "zero"])
    assert [device.id for device in small] == ["rpi_zero2w"]
    assert filtered_devices(CATALOGUE) == CATALOGUE


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(UsageError) as caught:
        filtered_devices(CATALOGUE, kinds=["lapto"])
    assert caught.value.why == "the kinds are phone, tablet, sbc, laptop, desktop, server"
    assert caught.value.hint == "did you mean --kind laptop?"


def test_a_selection_without_devices_is_an_error() -> None:
    with pytest.raises(DeviceError, match=r"no device of .* matches sbc, 'geforce'"):
        filtered_devices(CATALOGUE, kinds=["sbc"], words=["GeForce"])


def test_a_part_of_the_catalogue_as_a_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["devices", "list", "--kind", "sbc", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {device["kind"] for device in document["devices"]} == {"sbc"}


def test_a_machine_that_was_never_measured_says_how(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["devices", "show", "this"]) == 2
    assert "measure it, in under two minutes: feasibility devices this" in capsys.readouterr().err
