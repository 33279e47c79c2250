"""Devices as text: what is written reads back equal, whatever the system said."""

from __future__ import annotations

import tomllib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feasibility.catalogue.load_catalogue import load_catalogue
from feasibility.catalogue.read_device_file import parse_device
from feasibility.catalogue.write_device_file import device_text
from feasibility.errors import DeviceError
from feasibility.paths import devices_dir
from feasibility.records.device import Device
from tests import machine_samples

HEAD = """\
schema = "feasibility/device/1"
id = "this"
name = "This"
kind = "sbc"
os = "Linux"
isa = "aarch64"
allocator = "glibc"
role = "headless"

[sources]
run = "measured"

[cpu]
soc = "SoC"

[[cpu.clusters]]
core = "cortex-a72"
count = { value = 4, source = "run" }
clock = { value = "1.8 GHz", source = "run" }
flop_per_cycle = { value = 8, source = "run" }

[memory]
total = { value = "4 GiB", source = "run" }

[memory.grants.headless]
value = "3 GiB"
source = "run"
reason = "the system keeps the rest"

[limits]
runtime = { value = "24 MiB", source = "run" }

[measured]
runtime = "ONNX Runtime 1.31.1"
processor = "SoC"
core_count = 4
"""
RATES = """
[[measured.rates]]
threads = 1
activations = { value = "20 GB/s", source = "run" }
bandwidth = { value = "9 GB/s", source = "run" }
layer = { value = "3 us", source = "run" }

[measured.rates.operations]
dense = { value = "25 GFLOP/s", source = "run" }
matmul = { value = "24 GFLOP/s", source = "run" }
other = { value = "2 GFLOP/s", source = "run" }
"""


def read_back(device: Device, text: str) -> Device:
    return msgspec.structs.replace(parse_device(text, "x.toml"), origin=device.origin)


@given(machine_samples.devices)
def test_what_is_written_reads_back_equal(device: Device) -> None:
    assert read_back(device, device_text(device, {})) == device


@pytest.mark.parametrize("device", load_catalogue(devices_dir()), ids=lambda device: device.id)
def test_the_catalogue_reads_back_equal(device: Device) -> None:
    assert read_back(device, device_text(device, {}, "two\nlines")) == device


@given(st.text())
def test_any_text_can_be_quoted(text: str) -> None:
    """Half a character, which no UTF-8 file can hold, becomes a question mark."""
    named = msgspec.structs.replace(parse_device(HEAD + RATES, "x.toml"), name=text)
    expected = text.encode("utf-8", "replace").decode()
    assert tomllib.loads(device_text(named, {}))["name"] == expected


def test_names_of_sources_are_kept() -> None:
    device = parse_device(HEAD + RATES, "x.toml")
    assert '\n[sources]\nrun = "measured"\n' in device_text(device, {"measured": "run"})


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('"25 GFLOP/s"', '"-25 GFLOP/s"', "line 45, measured.rates[1].operations.dense.value: "),
        ('"25 GFLOP/s"', '"25 GB/s"', 'expected a rate such as "38 GFLOP/s", not \'25 GB/s\''),
        ('"25 GFLOP/s"', '"25 PFLOP/s"', "no device has this much"),
        ("dense", "dnse", "line 45, measured.rates[1].operations.dnse: unknown key; did you"),
        ("matmul", "vector", "operations.matmul: missing; expected a rate"),
        ("threads = 1\n", "threads = 0\n", "line 39, measured.rates[1].threads: expected a whole"),
        ("threads = 1\n", "threads = 2\n", "that of one thread first"),
        ('"3 us", source = "run"', '"3 us", source = "rn"', "did you mean 'run'?"),
        ('layer = { value = "3 us", source = "run" }', "", "measured.rates[1].layer: missing"),
        ("core_count = 4", "core_count = -4", "measured.core_count: expected a whole number"),
        ("core_count = 4", "cores = 4", "measured.cores: unknown key"),
        ('processor = "SoC"\n', "", "measured.processor: missing; expected a text"),
        (RATES, "", "measured.rates: expected one or more [[measured.rates]] tables"),
        (RATES, RATES + RATES, "expected one table per number of threads"),
    ],
)  # fmt: skip
def test_a_bad_measurement_names_file_line_and_key(old: str, new: str, expected: str) -> None:
    text = HEAD + RATES
    assert parse_device(text, "x.toml").measured is not None
    assert old in text
    with pytest.raises(DeviceError) as caught:
        parse_device(text.replace(old, new), "x.toml")
    assert caught.value.what == "Device file x.toml is not valid"
    assert expected in caught.value.why
