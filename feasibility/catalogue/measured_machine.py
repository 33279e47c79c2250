"""What `devices this` measured on a device, as its file holds it."""

from __future__ import annotations

from typing import Final

from feasibility.catalogue import quantities
from feasibility.catalogue.anchors import WORK_KINDS
from feasibility.catalogue.tables import Table
from feasibility.records.device import MeasuredMachine, Rates

# Work of any other kind is taken to run like one of these.
REQUIRED_KINDS: Final = ("dense", "matmul", "other")

# The same for quantised models, where they were measured.
INT8_KINDS: Final = ("int8_dense", "int8_matmul")


def measured_of(top: Table) -> MeasuredMachine | None:
    """The measured rates of a device file; None in a file that was written by hand."""
    table = top.table("measured")
    if table is None:
        return None
    table.allow(("runtime", "processor", "core_count", "cache", "rates"))
    rates = tuple(_rates(entry) for entry in table.tables("rates"))
    counts = [entry.thread_count for entry in rates]
    if counts != sorted(set(counts)) or counts[0] != 1:
        table.fail("rates", "expected one table per number of threads, that of one thread first")
    return MeasuredMachine(
        runtime=table.text("runtime"),
        processor=table.text("processor"),
        core_count=table.quantity("core_count", quantities.COUNT),
        cache_bytes=table.optional_figure("cache", quantities.CACHE),
        rates=rates,
    )


def _rates(table: Table) -> Rates:
    table.allow(("threads", "operations", "activations", "bandwidth", "layer"))
    operations = table.required_table("operations")
    operations.allow((*WORK_KINDS, *INT8_KINDS))
    for kind in REQUIRED_KINDS:
        operations.figure(kind, quantities.SUSTAINED_RATE)
    return Rates(
        thread_count=table.quantity("threads", quantities.COUNT),
        operations_per_s={
            kind: operations.figure(kind, quantities.SUSTAINED_RATE) for kind in operations.values
        },
        activation_bytes_per_s=table.figure("activations", quantities.BANDWIDTH),
        bandwidth_bytes_per_s=table.figure("bandwidth", quantities.BANDWIDTH),
        layer_ns=table.figure("layer", quantities.LAUNCH),
    )
