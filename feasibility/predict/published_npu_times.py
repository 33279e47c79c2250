"""What latencies were published for a model on a device's neural accelerator (NPU)?

An NPU is looked up and never computed: its compiler decides which operators run on it and which
run on the CPU at a tenth of the speed.
"""

from __future__ import annotations

import csv
import functools
import re
from typing import Final

from msgspec.structs import replace

from feasibility.paths import profiles_dir
from feasibility.records.device import Device
from feasibility.records.intervals import NpuTimes
from feasibility.units import MILLISECOND_NS

ROWS_FILE: Final = "published.csv"
# A shorter name must be a whole word: `vits` does not contain the model `vit`.
_LEAST_LETTERS: Final = 6
# Phones with the chip of a phone in the table.
_SAME_NPU: Final = {"x_sd8gen2_phone": "galaxy_s23"}


def npu_times(model: str, device: Device) -> NpuTimes | None:
    """Published latencies of models of this name on the device's NPU; None without any."""
    if device.npu is None:
        return None
    wanted = _plain(model.rpartition(".")[0] or model)
    words = set(re.split(r"[^a-z0-9]+", model.lower()))
    found = [
        times
        for published, times in _published().get(_SAME_NPU.get(device.id, device.id), ())
        if (name := _plain(published)) in words or (len(name) >= _LEAST_LETTERS and name in wanted)
    ]
    if not found:
        return None
    fastest = min(found, key=lambda times: times.low_ns)
    return replace(fastest, high_ns=max(times.high_ns for times in found))


@functools.cache
def _published() -> dict[str, list[tuple[str, NpuTimes]]]:
    """Model and time of the NPU rows of the published table, by device."""
    path = profiles_dir() / ROWS_FILE
    with path.open(encoding="utf-8", newline="") as file:
        header = next(csv.reader(file))
        # Only these lines are parsed: a tenth of the table.
        lines = [line for line in file if ",npu," in line]
    found: dict[str, list[tuple[str, NpuTimes]]] = {}
    for row in csv.DictReader(lines, header):
        if row["split"] == "npu" and row["latency_ms"]:
            latency_ns = round(float(row["latency_ms"]) * MILLISECOND_NS)
            times = NpuTimes(
                low_ns=latency_ns,
                high_ns=latency_ns,
                runtime=" ".join(row["runtime"].split()),
                precision=row["precision"],
            )
            model = row["model"].removeprefix("AIHub ")
            found.setdefault(row["device_id"], []).append((model, times))
    return found


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
