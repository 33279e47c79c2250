"""Devices that published tables were measured on and that nobody targets.

They stand in `profiles/validation_devices.csv`, one line each, and serve to calibrate the
projection and to state its error, not to recommend a place.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Final, cast

from feasibility.catalogue.catalogue import load_catalogue
from feasibility.errors import DeviceError
from feasibility.paths import devices_dir, profiles_dir
from feasibility.records.device import (
    UNVERIFIED,
    Cluster,
    Cpu,
    Device,
    DeviceMemory,
    Figure,
    Isa,
    Kind,
    Limits,
)
from feasibility.text import safe_text

FILE_NAME: Final = "validation_devices.csv"
_SOURCE: Final = "profiles/validation_devices.csv"


def all_devices() -> Mapping[str, Device]:
    """Devices of the catalogue and of the published tables, by id.

    Raises:
        DeviceError: A device file or the table is not valid.
    """
    testbeds = read_testbeds(profiles_dir() / FILE_NAME)
    return {device.id: device for device in (*load_catalogue(devices_dir()), *testbeds)}


def read_testbeds(path: Path) -> tuple[Device, ...]:
    """The devices of the table.

    Raises:
        DeviceError: The table cannot be read, or a line is not valid.
    """
    devices = []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for line in csv.DictReader(file):
                devices.append(_device(line))  # noqa: PERF401 - their number names a bad line
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise DeviceError(
            f"Cannot read {safe_text(str(path))}",
            f"line {len(devices) + 2} is not valid: {safe_text(str(error))}",
            "reinstall feasibility",
        ) from error
    return tuple(devices)


def chip_of(device: Device) -> str:
    """What two devices share that must not be learned from one and tried on the other."""
    soc = device.cpu.soc if device.cpu is not None else device.id
    return _SAME_CHIP.get(device.id, soc)


# The catalogue names chips at greater length than the table does; siblings count as one.
_SAME_CHIP: Final = {
    "rpi_zero2w": "BCM2837",
    "rpi_3bplus": "BCM2837",
    "pixel_4": "Snapdragon 855",
    "galaxy_s21": "Snapdragon 888",
    "galaxy_s23": "Snapdragon 8 Gen 2",
    "jetson_orin_nano_8gb": "Orin",
    "jetson_orin_nano_super": "Orin",
}


def _device(line: Mapping[str, str]) -> Device:
    return Device(
        id=line["id"],
        name=line["name"],
        kind=cast(Kind, line["kind"]),
        os="",
        isa=cast(Isa, line["isa"]),
        allocator="glibc",
        role="headless",
        cpu=Cpu(
            soc=line["soc"],
            clusters=tuple(_cluster(text) for text in line["clusters"].split("+")),
            features=tuple(line["features"].split()),
        ),
        memory=DeviceMemory(
            total_bytes=_figure(0),
            bandwidth_bytes_per_s=_figure(
                round(float(line["bandwidth_gb_s"]) * 1e9), line["unverified"]
            ),
            grants=(),
        ),
        limits=Limits(runtime_bytes=_figure(0)),
        origin=_SOURCE,
    )


def _cluster(text: str) -> Cluster:
    """Cluster from a text such as `4 cortex-a76 2.4 16`: cores, kind, GHz, FLOP per cycle."""
    count, core, clock_ghz, flop_per_cycle = text.split()
    return Cluster(
        core=core,
        core_count=_figure(int(count)),
        clock_hz=_figure(round(float(clock_ghz) * 1e9)),
        flop_per_cycle=_figure(int(flop_per_cycle)),
    )


def _figure(value: int, unverified: str = "") -> Figure:
    return Figure(value=value, source=UNVERIFIED if unverified else _SOURCE)
