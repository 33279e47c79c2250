"""ONNX Runtime's own profile to time and arena memory per node.

The runtime writes one event per node and run in Chrome's trace format. The
first run shows how much of the arena each node holds; later runs follow a plan
made from it, in which everything looks in use from the start, and are the ones
whose times count.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from feasibility.measure.instruments.arena_steps import ArenaStep, read_step
from feasibility.records.profile import OperatorProfile

MAX_TRACE_BYTES: Final = 256 * 1024**2
_KERNEL_SUFFIX: Final = "_kernel_time"
_RUN_EVENT: Final = "model_run"
_MICROSECOND_NS: Final = 1000


@dataclass(frozen=True, slots=True)
class Trace:
    """What the runtime's profile says.

    Args:
        operators: Nodes in the order in which they first ran.
        arena_held_bytes: Most bytes that the arena held; None where this build does not say.
        arena_in_use_peak_bytes: Most bytes of it that were in use.
        read_weight_bytes: Weights that the nodes read in their plain form, those that two
            nodes read counted twice; None where this build does not say.
        steps: The first run call by call; empty where this build does not say.
    """

    operators: tuple[OperatorProfile, ...]
    arena_held_bytes: int | None
    arena_in_use_peak_bytes: int | None
    read_weight_bytes: int | None = None
    steps: tuple[ArenaStep, ...] = ()


@dataclass(slots=True)
class _Node:
    name: str
    op_type: str
    provider: str
    moved_bytes: int | None
    in_use_bytes: int | None
    parameter_bytes: int | None
    call_count: int = 0
    total_us: int = 0


@dataclass(slots=True)
class _Tally:
    nodes: dict[tuple[int, str], _Node] = field(default_factory=dict)
    held_bytes: list[int] = field(default_factory=list)
    peak_bytes: list[int] = field(default_factory=list)


def read_trace(path: Path) -> Trace:
    """Time and memory per node from a profile that the runtime wrote.

    Raises:
        ValueError: The file is too large or not JSON.
        OSError: The file cannot be read.
    """
    if path.stat().st_size > MAX_TRACE_BYTES:
        raise ValueError("the runtime's profile is too large to read")
    events = json.loads(path.read_bytes())
    return summarise([event for event in events if isinstance(event, dict)])


def summarise(events: list[dict[str, Any]]) -> Trace:
    """Time and memory per node from trace events; times of the first run are left out."""
    runs = sorted(
        (event["ts"], event["ts"] + event["dur"])
        for event in events
        if event.get("name") == _RUN_EVENT
    )
    first_end = runs[0][1] if runs else 0
    timed_run_count = max(1, len(runs) - 1)
    tally = _Tally()
    kernels = sorted(filter(_is_kernel, events), key=lambda event: int(event["ts"]))
    for event in kernels:
        _count(tally, event, timed=len(runs) < 2 or event["ts"] >= first_end)
    read = [node.parameter_bytes for node in tally.nodes.values()]
    return Trace(
        operators=tuple(
            OperatorProfile(
                node=node.name,
                op_type=node.op_type,
                provider=node.provider,
                call_count=node.call_count,
                total_ns=node.total_us * _MICROSECOND_NS,
                bytes=node.moved_bytes,
                arena_in_use_bytes=node.in_use_bytes,
                run_count=timed_run_count,
            )
            for node in tally.nodes.values()
        ),
        arena_held_bytes=max(tally.held_bytes, default=None),
        arena_in_use_peak_bytes=max(tally.peak_bytes, default=None),
        read_weight_bytes=None if None in read else sum(filter(None, read)),
        steps=_steps([event for event in kernels if event["ts"] < first_end]),
    )


def _steps(kernels: list[dict[str, Any]]) -> tuple[ArenaStep, ...]:
    """Calls in the order in which they ended, a loop after its body; nothing if one is mute."""
    steps = [
        read_step(_node_name(event), event.get("args", {}))
        for event in sorted(kernels, key=lambda event: int(event["ts"]) + int(event["dur"]))
    ]
    told = tuple(step for step in steps if step is not None)
    return told if len(told) == len(steps) else ()


def _is_kernel(event: dict[str, Any]) -> bool:
    return event.get("cat") == "Node" and str(event.get("name", "")).endswith(_KERNEL_SUFFIX)


def _node_name(event: dict[str, Any]) -> str:
    return str(event["name"]).removesuffix(_KERNEL_SUFFIX)


def _count(tally: _Tally, event: dict[str, Any], *, timed: bool) -> None:
    """Adds one event to the tally."""
    args = event.get("args", {})
    name = _node_name(event)
    # Two nodes may share a name (or have none), so the runtime's own index tells them apart.
    key = (_integer(args, "node_index") or 0, name)
    node = tally.nodes.get(key)
    if node is None:
        sizes = [
            _integer(args, size_name)
            for size_name in ("activation_size", "parameter_size", "output_size")
        ]
        node = tally.nodes[key] = _Node(
            name=name,
            op_type=str(args.get("op_name", "")),
            provider=str(args.get("provider", "")),
            moved_bytes=sum(size or 0 for size in sizes)
            if any(size is not None for size in sizes)
            else None,
            in_use_bytes=_integer(args, "mem_bytes_in_use"),
            parameter_bytes=_integer(args, "parameter_size"),
        )
    if timed:
        node.call_count += 1
        node.total_us += int(event["dur"])
    for field_name, values in (
        ("mem_arena_held", tally.held_bytes),
        ("mem_in_use_peak", tally.peak_bytes),
    ):
        value = _integer(args, field_name)
        if value is not None:
            values.append(value)


def _integer(args: dict[str, Any], name: str) -> int | None:
    """A field of the trace, where numbers are written as text; None where it is not there."""
    try:
        return int(args[name])
    except (KeyError, TypeError, ValueError):
        return None
