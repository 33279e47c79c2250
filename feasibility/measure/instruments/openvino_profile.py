"""How long does each node take? The profile of OpenVINO, which the child wrote."""

from __future__ import annotations

from pathlib import Path

import msgspec

from feasibility.measure.instruments.ort_profile import MAX_TRACE_BYTES, Trace
from feasibility.prepared_types import prepared
from feasibility.records.profile import OperatorProfile


class _Node(msgspec.Struct):
    """One node in one run; `kernel` is the implementation that OpenVINO chose."""

    name: str
    type: str
    kernel: str
    time_ns: int
    ran: bool


def read_trace(path: Path) -> Trace:
    """Time per node that ran; the first run does not count if there are several.

    Raises:
        ValueError: The file is too large or is not such a profile.
    """
    if path.stat().st_size > MAX_TRACE_BYTES:
        raise ValueError("the profile of the engine is too large to read")
    runs = msgspec.json.decode(path.read_bytes(), type=prepared(list[list[_Node]]))
    timed = runs[1:] or runs
    found: dict[str, list[_Node]] = {}
    for run in timed:
        for node in run:
            if node.ran:
                found.setdefault(node.name, []).append(node)
    return Trace(
        operators=tuple(
            OperatorProfile(
                node=name,
                op_type=nodes[0].type,
                provider=nodes[0].kernel,
                call_count=len(nodes),
                total_ns=sum(node.time_ns for node in nodes),
                run_count=len(timed),
            )
            for name, nodes in found.items()
        ),
        arena_held_bytes=None,
        arena_in_use_peak_bytes=None,
    )
