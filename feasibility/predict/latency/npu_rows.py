"""What published tables say of a model on a device's neural accelerator.

An NPU is never computed: what it runs well, and what falls back to the CPU at a tenth of the
speed, depends on its compiler more than on its operations per second.
"""

from __future__ import annotations

import csv
import functools
import re
from typing import Final, NamedTuple

from feasibility.paths import profiles_dir
from feasibility.records.device import Device
from feasibility.units import MILLISECOND_NS, format_duration

ROWS_FILE: Final = "published.csv"
# A name shorter than this has to be a word of its own: `vit` is not in `vits`.
_LEAST_LETTERS: Final = 6
# Phones that hold the same chip as one of the table.
_SAME_NPU: Final = {"x_sd8gen2_phone": "galaxy_s23"}


class NpuRow(NamedTuple):
    """One published latency on an NPU."""

    model: str
    runtime: str
    precision: str
    latency_ns: int
    date: str


def npu_text(model: str, device: Device) -> str:
    """A sentence on the model on the device's NPU; empty if it has none or nothing is known."""
    if device.npu is None:
        return ""
    rows = npu_rows(model, device)
    if not rows:
        return ""
    fast, slow = rows[0], rows[-1]
    times = format_duration(fast.latency_ns)
    if slow is not fast:
        times += f" to {format_duration(slow.latency_ns)}"
    return (
        f"On its NPU a model of this name took {times} in published tables (fastest: "
        f"{fast.runtime}, {fast.precision}); operators that the NPU does not have fall back to "
        "the CPU."
    )


def npu_rows(model: str, device: Device) -> tuple[NpuRow, ...]:
    """Published latencies of models of this name on the device's NPU, fastest first."""
    wanted = _plain(model.rpartition(".")[0] or model)
    words = set(re.split(r"[^a-z0-9]+", model.lower()))
    rows = _published().get(_SAME_NPU.get(device.id, device.id), ())
    return tuple(
        sorted(
            (
                row
                for row in rows
                if (name := _plain(row.model)) in words
                or (len(name) >= _LEAST_LETTERS and name in wanted)
            ),
            key=lambda row: row.latency_ns,
        )
    )


@functools.cache
def _published() -> dict[str, tuple[NpuRow, ...]]:
    """NPU rows of the published table by device."""
    path = profiles_dir() / ROWS_FILE
    with path.open(encoding="utf-8", newline="") as file:
        header = next(csv.reader(file))
        # The other nine tenths of the table need not be taken apart.
        lines = [line for line in file if ",npu," in line]
    found: dict[str, list[NpuRow]] = {}
    for values in csv.DictReader(lines, header):
        if values["split"] == "npu" and values["latency_ms"]:
            found.setdefault(values["device_id"], []).append(
                NpuRow(
                    model=values["model"].removeprefix("AIHub "),
                    runtime=" ".join(values["runtime"].split()),
                    precision=values["precision"],
                    latency_ns=round(float(values["latency_ms"]) * MILLISECOND_NS),
                    date=values["date"],
                )
            )
    return {device: tuple(rows) for device, rows in found.items()}


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
