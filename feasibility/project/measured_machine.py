"""Latency on a device whose rates were measured there, kind by kind, by `devices this`.

    seconds = sum over kinds of operations / measured rate
            + activations / measured rate of moving them
            + weights that no cache holds / measured bandwidth
            + layers x measured dispatch

No coefficient of a core family enters, so neither the clock nor the peak of the device
file matters here. docs/devices.md states how far off it was, and on what.
"""

from __future__ import annotations

import math
from typing import Final

from feasibility.project.cpu import Work
from feasibility.records.device import Device, MeasuredMachine, Rates

# The runtime whose kernels `devices this` runs.
MEASURED_RUNTIME: Final = "onnxruntime"
# Kinds that are not measured on their own run like these: ONNX Runtime has no Winograd
# kernels, and a fused attention is matrix products.
LIKE: Final = {
    "winograd": "dense",
    "pointwise": "dense",
    "depthwise": "other",
    "grouped": "dense",
    "vector": "matmul",
    "recurrent": "matmul",
    "attention": "matmul",
    "quantization": "other",
    "tree": "other",
}
# Half width of the 80 % interval as a factor, by one and by several threads: what 80 % of the
# models of docs/devices.md were off by, rounded up, because they ran on one machine only.
SPREADS: Final = {"one": 1.3, "several": 1.5}
_ELEMENT_BYTES: Final = 4
_NS: Final = 10**9


def has_rates(device: Device, runtime: str) -> bool:
    """Whether the device was measured with this runtime."""
    runs_here = device.runs_on == "cpu" and runtime == MEASURED_RUNTIME
    return device.measured is not None and runs_here


def measured_spread(threads: int) -> float:
    """Half width of the interval as a factor."""
    return SPREADS["one" if threads == 1 else "several"]


def measured_seconds(work: Work, machine: MeasuredMachine, threads: int) -> float:
    """Seconds of one inference; between two measured numbers of threads, on the line in logs."""
    exact = [rates for rates in machine.rates if rates.thread_count == threads]
    if exact:
        return seconds_at(work, exact[0], machine)
    below = [rates for rates in machine.rates if rates.thread_count < threads]
    above = [rates for rates in machine.rates if rates.thread_count > threads]
    low = seconds_at(work, below[-1], machine)
    if not above:
        return low
    high = seconds_at(work, above[0], machine)
    span = math.log(above[0].thread_count / below[-1].thread_count)
    share = math.log(threads / below[-1].thread_count) / span
    return math.exp((1 - share) * math.log(low) + share * math.log(high))


def seconds_at(work: Work, rates: Rates, machine: MeasuredMachine) -> float:
    """Seconds of one inference with the number of threads that the rates are of."""
    vector_operations = 2 * work.vector_weight_count
    matrix = dict(work.operations)
    for kind in ("matmul", "recurrent"):
        # What `vector_weight_count` stands for is counted there, at the rate of vectors.
        taken = min(vector_operations, matrix.get(kind, 0.0))
        if taken:
            matrix[kind] -= taken
            matrix["vector"] = matrix.get("vector", 0.0) + taken
            vector_operations -= taken
    computing = sum(amount / _rate(kind, rates) for kind, amount in matrix.items() if amount)
    moving = _ELEMENT_BYTES * work.activation_count / rates.activation_bytes_per_s.value
    streamed = _ELEMENT_BYTES * (work.weight_count + work.vector_weight_count)
    cache = machine.cache_bytes.value if machine.cache_bytes is not None else 0
    streaming = streamed / rates.bandwidth_bytes_per_s.value if streamed > cache else 0.0
    return computing + moving + streaming + work.layer_count * rates.layer_ns.value / _NS


def _rate(kind: str, rates: Rates) -> int:
    known = rates.operations_per_s
    return (known[kind] if kind in known else known[LIKE[kind]]).value
