"""How long does each node take, and how much of the arena does it hold? ONNX Runtime's own profile.

The runtime writes one event per node and run, in Chrome's trace format. The first run shows how
much of the arena each node holds. Later runs follow a plan made from the first one, in which
everything looks in use from the start; their times count.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Final

from feasibility.records.profile import OperatorProfile
from feasibility.units import MICROSECOND_NS

MAX_TRACE_BYTES: Final = 256 * 1024**2
_KERNEL_SUFFIX: Final = "_kernel_time"
_RUN_EVENT: Final = "model_run"
_ELEMENT_BYTES: Final = {
    **dict.fromkeys(("bool", "int8", "uint8"), 1),
    **dict.fromkeys(("int16", "uint16", "float16", "bfloat16"), 2),
    **dict.fromkeys(("int32", "uint32", "float"), 4),
    **dict.fromkeys(("int64", "uint64", "double"), 8),
}


@dataclass(frozen=True, slots=True)
class ArenaStep:
    """The arena at one call of one node, in bytes.

    `in_use_bytes` is after the call, before its inputs are freed; `grown_bytes` may be negative;
    `high_bytes` is the highest use until then.
    """

    node: str
    op_type: str
    in_use_bytes: int
    grown_bytes: int
    high_bytes: int
    input_sizes: tuple[int, ...] = ()
    output_sizes: tuple[int, ...] = ()

    @property
    def before_bytes(self) -> int:
        """Arena in use before the call; before the first one, the prepacked weights."""
        return max(0, self.in_use_bytes - self.grown_bytes)


@dataclass(frozen=True, slots=True)
class Trace:
    """The runtime's profile: nodes in the order of their first calls, and the arena.

    `steps` are the calls of the first run. Without a report on the arena, as in some builds, its
    figures are None and `steps` is empty.
    """

    operators: tuple[OperatorProfile, ...]
    arena_held_bytes: int | None
    arena_in_use_peak_bytes: int | None
    steps: tuple[ArenaStep, ...] = ()


def read_trace(path: Path) -> Trace:
    """Time and memory per node, from a profile that the runtime wrote.

    Raises:
        ValueError: The file is too large or not JSON.
    """
    if path.stat().st_size > MAX_TRACE_BYTES:
        raise ValueError("the runtime's profile is too large to read")
    events = json.loads(path.read_bytes())
    return trace_of([event for event in events if isinstance(event, dict)])


def trace_of(events: Sequence[Mapping[str, Any]]) -> Trace:
    """Time and memory per node from trace events; times of the first run do not count."""
    runs = sorted(
        (event["ts"], event["ts"] + event["dur"])
        for event in events
        if event.get("name") == _RUN_EVENT
    )
    first_end = runs[0][1] if runs else 0
    calls = sorted(filter(_is_call, events), key=lambda event: int(event["ts"]))
    nodes: dict[tuple[int, str], list[Mapping[str, Any]]] = {}
    for call in calls:
        # Two nodes may have the same name, or none, so the runtime's own index is needed too.
        nodes.setdefault((_integer(call, "node_index") or 0, _node_name(call)), []).append(call)
    timed_from = first_end if len(runs) > 1 else 0
    return Trace(
        operators=tuple(
            _operator(node, timed_from, run_count=max(1, len(runs) - 1)) for node in nodes.values()
        ),
        arena_held_bytes=_highest(calls, "mem_arena_held"),
        arena_in_use_peak_bytes=_highest(calls, "mem_in_use_peak"),
        steps=_steps([call for call in calls if call["ts"] < first_end]),
    )


def _operator(
    calls: Sequence[Mapping[str, Any]], timed_from: int, run_count: int
) -> OperatorProfile:
    first, timed = calls[0], [call for call in calls if call["ts"] >= timed_from]
    names = ("activation_size", "parameter_size", "output_size")
    sizes = [size for name in names if (size := _integer(first, name)) is not None]
    return OperatorProfile(
        node=_node_name(first),
        op_type=str(_args(first).get("op_name", "")),
        provider=str(_args(first).get("provider", "")),
        call_count=len(timed),
        total_ns=sum(int(call["dur"]) for call in timed) * MICROSECOND_NS,
        bytes=sum(sizes) if sizes else None,
        arena_in_use_bytes=_integer(first, "mem_bytes_in_use"),
        run_count=run_count,
    )


def _steps(calls: Sequence[Mapping[str, Any]]) -> tuple[ArenaStep, ...]:
    """Calls in the order of their ends, a loop after its body; empty if one reports no arena."""
    ordered = sorted(calls, key=lambda call: int(call["ts"]) + int(call["dur"]))
    steps = tuple(filter(None, map(arena_step, ordered)))
    return steps if len(steps) == len(calls) else ()


def arena_step(call: Mapping[str, Any]) -> ArenaStep | None:
    """The arena at one call; None if this build does not report it."""
    args = _args(call)
    try:
        return ArenaStep(
            node=_node_name(call),
            op_type=str(args.get("op_name", "")),
            in_use_bytes=int(args["mem_bytes_in_use"]),
            grown_bytes=int(args["mem_in_use_delta"]),
            high_bytes=int(args["mem_in_use_peak"]),
            input_sizes=tuple(_tensor_sizes(args.get("input_type_shape", ()))),
            output_sizes=tuple(_tensor_sizes(args.get("output_type_shape", ()))),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _tensor_sizes(described: Iterable[Mapping[str, Iterable[int]]]) -> Iterable[int]:
    """Bytes of tensors from entries such as `{"float": [1, 64]}`; 0 for other types."""
    for entry in described:
        for dtype, shape in entry.items():
            yield _ELEMENT_BYTES.get(dtype, 0) * prod(int(dim) for dim in shape)


def _is_call(event: Mapping[str, Any]) -> bool:
    return event.get("cat") == "Node" and str(event.get("name", "")).endswith(_KERNEL_SUFFIX)


def _node_name(call: Mapping[str, Any]) -> str:
    return str(call["name"]).removesuffix(_KERNEL_SUFFIX)


def _args(call: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = call.get("args", {})
    return found


def _highest(calls: Iterable[Mapping[str, Any]], name: str) -> int | None:
    figures = [figure for call in calls if (figure := _integer(call, name)) is not None]
    return max(figures, default=None)


def _integer(call: Mapping[str, Any], name: str) -> int | None:
    """A number of the trace, which writes numbers as text; None if it is missing."""
    try:
        return int(_args(call)[name])
    except (KeyError, TypeError, ValueError):
        return None
