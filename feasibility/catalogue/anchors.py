"""The measurements that a user's copy of a device file holds, and how they are written."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, cast, get_args

from feasibility.catalogue import quantities
from feasibility.catalogue.tables import Table
from feasibility.records.device import Anchor, Precision
from feasibility.text import safe_text
from feasibility.units import format_duration

_COUNTS: Final = ("activation_count", "weight_count", "vector_weight_count", "layer_count")
_KEYS: Final = (
    "model", "latency", "threads", "runtime", "precision", "measured_on", "operations", *_COUNTS,
)  # fmt: skip
WORK_KINDS: Final = (
    "winograd", "dense", "pointwise", "depthwise", "grouped", "vector", "matmul", "attention",
    "recurrent", "quantization", "tree", "other",
)  # fmt: skip
_HEADER: Final = "[[anchors]]"


def anchors_of(top: Table) -> tuple[Anchor, ...]:
    """The anchors of a device file; none in a file that was never calibrated."""
    if "anchors" not in top.values:
        return ()
    return tuple(_anchor(table) for table in top.tables("anchors"))


def with_anchors(text: str, anchors: Iterable[Anchor]) -> str:
    """The text of a device file with these anchors instead of those it has.

    Anchors stand at the end of the file, because only this function writes them.
    """
    body = text.partition(f"\n{_HEADER}")[0].rstrip("\n")
    return "\n".join((body, *(_lines(anchor) for anchor in anchors), ""))


def _lines(anchor: Anchor) -> str:
    operations = ", ".join(f"{kind} = {amount}" for kind, amount in anchor.operations.items())
    return "\n".join(
        (
            "",
            _HEADER,
            f"model = {_quoted(anchor.model)}",
            f'latency = "{anchor.latency_ns} ns" # {format_duration(anchor.latency_ns)}',
            f"threads = {anchor.threads}",
            f"runtime = {_quoted(anchor.runtime)}",
            f'precision = "{anchor.precision}"',
            f"measured_on = {_quoted(anchor.measured_on)}",
            *(f"{key} = {getattr(anchor, key)}" for key in _COUNTS),
            f"operations = {{ {operations} }}",
        )
    )


def _quoted(text: str) -> str:
    shown = safe_text(text, 200).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{shown}"'


def _anchor(table: Table) -> Anchor:
    table.allow(_KEYS)
    operations = table.required_table("operations")
    operations.allow(WORK_KINDS)
    work = {kind: operations.quantity(kind, quantities.WORK) for kind in operations.values}
    if not sum(work.values()):
        table.fail("operations", "expected at least one kind of work above zero")
    return Anchor(
        model=table.text("model"),
        latency_ns=table.quantity("latency", quantities.LATENCY),
        threads=table.quantity("threads", quantities.COUNT),
        runtime=table.text("runtime"),
        precision=cast(Precision, table.choice("precision", get_args(Precision))),
        measured_on=table.text("measured_on", ""),
        operations=work,
        **{key: table.quantity(key, quantities.WORK) for key in _COUNTS},
    )
