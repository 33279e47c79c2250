"""What latencies were published for a model on a device's neural accelerator (NPU)?

An NPU is looked up and never computed: its compiler decides which operators run on it and which
run on the CPU at a tenth of the speed.
"""

from __future__ import annotations

import csv
import functools
import re
from typing import Final, NamedTuple

from feasibility.paths import profiles_dir
from feasibility.records.device import Device
from feasibility.records.intervals import NpuTimes
from feasibility.units import MILLISECOND_NS

ROWS_FILE: Final = "published.csv"
# A shorter name must be a whole word: `vits` does not contain the model `vit`.
_LEAST_LETTERS: Final = 6
# Phones with the chip of a phone in the table.
_SAME_NPU: Final = {"x_sd8gen2_phone": "galaxy_s23"}


class _Row(NamedTuple):
    """One published latency on an NPU."""

    model: str
    runtime: str
    precision: str
    latency_ns: int


def npu_times(model: str, device: Device) -> NpuTimes | None:
    """Published latencies of models of this name on the device's NPU; None without any."""
    if device.npu is None:
        return None
    wanted = _plain(model.rpartition(".")[0] or model)
    words = set(re.split(r"[^a-z0-9]+", model.lower()))
    rows = [
        row
        for row in _published().get(_SAME_NPU.get(device.id, device.id), ())
        if (name := _plain(row.model)) in words or (len(name) >= _LEAST_LETTERS and name in wanted)
    ]
    if not rows:
        return None
    fastest = min(rows, key=lambda row: row.latency_ns)
    return NpuTimes(
        low_ns=fastest.latency_ns,
        high_ns=max(row.latency_ns for row in rows),
        runtime=fastest.runtime,
        precision=fastest.precision,
    )


@functools.cache
def _published() -> dict[str, tuple[_Row, ...]]:
    """NPU rows of the published table by device."""
    path = profiles_dir() / ROWS_FILE
    with path.open(encoding="utf-8", newline="") as file:
        header = next(csv.reader(file))
        # Only these lines are parsed: a tenth of the table.
        lines = [line for line in file if ",npu," in line]
    found: dict[str, list[_Row]] = {}
    for values in csv.DictReader(lines, header):
        if values["split"] == "npu" and values["latency_ms"]:
            found.setdefault(values["device_id"], []).append(
                _Row(
                    model=values["model"].removeprefix("AIHub "),
                    runtime=" ".join(values["runtime"].split()),
                    precision=values["precision"],
                    latency_ns=round(float(values["latency_ms"]) * MILLISECOND_NS),
                )
            )
    return {device: tuple(rows) for device, rows in found.items()}


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
