"""Memory on an instruction set that was not measured, from what the graph tells of it.

`feasibility/ort_memory` models the memory of ONNX Runtime's CPU provider on each
instruction set without running anything. Where a model was measured on one of them, only the
difference of the two models is added to what was measured, so that what the model gets wrong
on both cancels out. docs/memory-model.md states the errors that were measured.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from feasibility.predict import memory_factors as k
from feasibility.records.facts import ModelledMemory
from feasibility.records.profile import Memory, ProfiledModel
from feasibility.units import MIB, format_bytes

# Differences below this are not worth a sentence.
_NOTEWORTHY_BYTES: Final = 2 * MIB


class Range(NamedTuple):
    """Low, likely and high of one figure, in bytes."""

    low: float
    likely: float
    high: float


class Phases(NamedTuple):
    """Memory while loading and while running, and what stays between, without the process."""

    load: Range
    run: Range
    resident_bytes: int

    @property
    def peak(self) -> Range:
        """Memory over both."""
        return Range(*(max(ends) for ends in zip(self.load, self.run, strict=True)))

    def with_retained(self, ratio: float) -> Phases:
        """The same where the C library keeps freed memory, up to this many times what stays."""
        resident = self.resident_bytes * ratio
        running = max(0.0, self.run.likely - self.resident_bytes)
        return self._replace(
            load=self.load._replace(high=max(self.load.high, resident)),
            run=self.run._replace(high=max(self.run.high, resident + running)),
        )

    @property
    def text(self) -> str:
        """Both in words."""
        load, run = format_bytes(round(self.load.likely)), format_bytes(round(self.run.likely))
        return f"About {load} to load and {run} to run."


def modelled_on(model: ProfiledModel, isa: str) -> ModelledMemory | None:
    """What the graph tells of memory on an instruction set; None if it tells nothing."""
    return next((memory for memory in model.modelled_memory if memory.isa == isa), None)


def carried_over(model: ProfiledModel, memory: Memory, host: str, isa: str) -> Phases:
    """Memory on another instruction set than the one that was measured.

    Args:
        model: The model.
        memory: What was measured, with the steady allocator.
        host: Instruction set that was measured.
        isa: Instruction set that is asked for.
    """
    run = memory.inference_peak_bytes or memory.resident_bytes
    here, there = modelled_on(model, host), modelled_on(model, isa)
    if here is None or there is None:
        return _bounded(memory, run)
    load = memory.load_peak_bytes + there.load_peak_bytes - here.load_peak_bytes
    running = run + there.inference_peak_bytes - here.inference_peak_bytes
    return Phases(
        load=_around(max(load, there.own_bytes), k.CARRIED_LOW_RATIO, k.CARRIED_HIGH_RATIO),
        run=_around(max(running, there.own_bytes), k.CARRIED_LOW_RATIO, k.CARRIED_HIGH_RATIO),
        resident_bytes=max(
            memory.resident_bytes + there.resident_bytes - here.resident_bytes, there.own_bytes
        ),
    )


def from_graph(model: ProfiledModel, isa: str) -> Phases | None:
    """Memory of a model that was not measured at all; None if its graph is not known."""
    there = modelled_on(model, isa)
    if there is None:
        return None
    low, high = k.GRAPH_LOW_RATIO, k.GRAPH_HIGH_RATIO
    run = _around(there.inference_peak_bytes, low, high)
    if any(name.endswith(":QuantizeLinear") for name in model.operator_types):
        # Which activations stay quantized depends on patterns that are not modelled.
        least = there.own_bytes + there.weight_bytes + there.input_bytes
        run = run._replace(low=min(run.low, least * low))
    if model.activation_peak is not None and model.activation_peak.unknown_tensor_count:
        run = run._replace(high=run.high * k.OPEN_SHAPES_RATIO)
    return Phases(_around(there.load_peak_bytes, low, high), run, there.resident_bytes)


def carried_over_text(model: ProfiledModel, host: str, isa: str) -> str:
    """How figures of one instruction set were carried over to another."""
    here, there = modelled_on(model, host), modelled_on(model, isa)
    start = f"Modelled for {isa} from figures measured on {host}:"
    if here is None or there is None:
        return f"{start} running takes about the same on both; the graph is not known."
    loading = there.load_peak_bytes - here.load_peak_bytes
    running = there.inference_peak_bytes - here.inference_peak_bytes
    why = (
        " because x86-64 lays convolution weights out anew beside the plain ones"
        if abs(loading) >= _NOTEWORTHY_BYTES
        else ""
    )
    return f"{start} loading takes {_difference(loading)}{why}, running {_difference(running)}."


def parts_text(model: ProfiledModel, isa: str) -> str:
    """What the memory of the runs is made of on an instruction set; empty if not known."""
    there = modelled_on(model, isa)
    if there is None:
        return ""
    parts = [
        (there.weight_bytes, "of weights"),
        (there.activation_bytes, "of activations"),
        (there.input_bytes, "of inputs"),
        (there.mapped_bytes, "of mapped weights that are read"),
        (there.own_bytes, "of the runtime's own"),
    ]
    shown = [f"{format_bytes(size)} {what}" for size, what in parts if size >= MIB]
    return f"While running: {', '.join(shown)}." if shown else ""


def _bounded(memory: Memory, run: int) -> Phases:
    """Where the graph is not known: loading takes what stays up to what was measured."""
    load = memory.load_peak_bytes
    return Phases(
        load=Range(
            memory.resident_bytes * k.CARRIED_LOW_RATIO,
            (memory.resident_bytes + load) / 2,
            load * k.UNKNOWN_HIGH_RATIO,
        ),
        run=Range(run * k.UNKNOWN_LOW_RATIO, run, run * k.UNKNOWN_HIGH_RATIO),
        resident_bytes=memory.resident_bytes,
    )


def _around(likely: float, low: float, high: float) -> Range:
    return Range(likely * low, likely, likely * high)


def _difference(size: int) -> str:
    if abs(size) < _NOTEWORTHY_BYTES:
        return "the same"
    return f"{format_bytes(abs(size))} {'more' if size > 0 else 'less'}"
