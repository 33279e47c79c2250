"""Which devices were the published rows measured on, in addition to the catalogue's?

`profiles/validation_devices.csv` and `validation_gpus.csv` have one line per device. They serve
to fit the projection and to state its error; reports never recommend them.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from msgspec.structs import replace

from feasibility.catalogue.load_catalogue import load_catalogue
from feasibility.paths import devices_dir, profiles_dir
from feasibility.records.device import (
    UNVERIFIED,
    Cluster,
    Cpu,
    Device,
    DeviceMemory,
    Figure,
    Gpu,
    Isa,
    Kind,
    Limits,
)

DEVICES_FILE: Final = "validation_devices.csv"
GPUS_FILE: Final = "validation_gpus.csv"
_SOURCE: Final = f"profiles/{DEVICES_FILE}"


def all_devices() -> Mapping[str, Device]:
    """Devices of the catalogue and of the published tables, by id.

    Raises:
        DeviceError: A device file is not valid.
    """
    known = {device.id: device for device in load_catalogue(devices_dir())}
    known |= {line["id"]: _cpu_device(line) for line in _lines(DEVICES_FILE)}
    for line in _lines(GPUS_FILE):
        # A phone of the first table gets its GPU from the second.
        device = _gpu_device(line)
        known[device.id] = replace(known.get(device.id, device), gpu=device.gpu)
    return known


def _lines(name: str) -> Iterator[Mapping[str, str]]:
    with (profiles_dir() / name).open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def chip_of(device: Device) -> str:
    """The chip. A fit that is tried on a device must not have seen another one with its chip."""
    soc = device.cpu.soc if device.cpu is not None else device.id
    return _SAME_CHIP.get(device.id, soc)


# The catalogue has longer names of chips than the table; variants of a chip count as one.
_SAME_CHIP: Final = {
    "rpi_zero2w": "BCM2837",
    "rpi_3bplus": "BCM2837",
    "pixel_4": "Snapdragon 855",
    "galaxy_s21": "Snapdragon 888",
    "galaxy_s23": "Snapdragon 8 Gen 2",
    "jetson_orin_nano_8gb": "Orin",
    "jetson_orin_nano_super": "Orin",
}


def _device(line: Mapping[str, str], isa: Isa, **parts: Any) -> Device:
    return Device(
        id=line["id"],
        name=line["name"],
        kind=cast(Kind, line["kind"]),
        os="",
        isa=isa,
        allocator="glibc",
        role="headless",
        limits=Limits(runtime_bytes=_figure(0)),
        origin=_SOURCE,
        **parts,
    )


def _cpu_device(line: Mapping[str, str]) -> Device:
    return _device(
        line,
        cast(Isa, line["isa"]),
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
    )


def _gpu_device(line: Mapping[str, str]) -> Device:
    def figure(column: str, factor: float) -> Figure | None:
        if not line[column]:
            return None
        is_unverified = column.partition("_")[0] in line["unverified"]
        return _figure(round(float(line[column]) * factor), "unverified" if is_unverified else "")

    return _device(
        line,
        "aarch64" if line["kind"] in ("sbc", "phone") else "x86_64",
        runs_on="gpu",
        gpu=Gpu(
            name=line["gpu"],
            bandwidth_bytes_per_s=figure("bandwidth_gb_s", 1e9),
            fp32_flops_per_s=figure("fp32_tflops", 1e12),
            fp16_flops_per_s=figure("fp16_tflops", 1e12),
            launch_ns=figure("launch_us", 1e3),
        ),
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
