"""How long does a model take on a device whose rates were measured there by `devices this`?

    seconds = sum over kinds of operations / measured rate
            + activations / measured rate of moving them
            + weights that do not fit a cache / measured bandwidth
            + layers x measured dispatch

No fitted coefficient is used, so the clock and the peak in the device file do not matter here.
docs/devices.md states the error on the models that were tried.
"""

from __future__ import annotations

import math
from typing import Final

from feasibility.predict.latency.cpu_formula import Work
from feasibility.records.device import Device, MeasuredMachine, Rates
from feasibility.records.profile import Profile
from feasibility.units import SECOND_NS

# The runtime whose kernels `devices this` runs.
MEASURED_RUNTIME: Final = "onnxruntime"
# Kinds without a measured rate have the rate of another kind: ONNX Runtime has no Winograd
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
# Half width of the 80 % interval as a factor, for one and for several threads: 80 % of the models
# in docs/devices.md were within it. Rounded up, because they ran on one machine only.
SPREADS: Final = {"one": 1.25, "several": 1.5}
# Kinds that are measured, and with which operators.
KINDS: Final = {
    "dense": "convolutions of 3x3",
    "pointwise": "convolutions of 1x1",
    "depthwise": "depthwise convolutions of 3x3",
    "matmul": "matrix products of an encoder layer over 128 tokens",
    "vector": "products of one row with matrices of 4 MiB",
    "recurrent": "an LSTM of 256 states",
    "other": "exponentials and normalisations",
    "int8_dense": "quantised convolutions of 3x3 and 1x1",
    "int8_matmul": "quantised products of 128 rows",
}
# Speed of int8 relative to fp32 by kind of work: the first rate divided by the second.
_INT8_GAINS: Final = {
    **dict.fromkeys(("winograd", "dense", "pointwise", "grouped"), ("int8_dense", "dense")),
    **dict.fromkeys(("matmul", "vector", "attention", "recurrent"), ("int8_matmul", "matmul")),
}
_ELEMENT_BYTES: Final = 4


def has_rates(device: Device, runtime: str) -> bool:
    """Whether the device was measured with this runtime."""
    return device.measured is not None and (device.runs_on, runtime) == ("cpu", MEASURED_RUNTIME)


def is_same_machine(profile: Profile, device: Device) -> bool:
    """Whether the profile was measured on the machine that the device file describes."""
    machine, host = device.measured, profile.host
    return (
        machine is not None
        and device.memory is not None
        and profile.method == "measured"
        and (host.cpu, host.arch) == (machine.processor, device.isa)
        and (host.core_count, profile.workload.runtime) == (machine.core_count, machine.runtime)
        and host.memory_bytes == device.memory.total_bytes.value
        and profile.workload.provider == "CPUExecutionProvider"
    )


def measured_spread(threads: int) -> float:
    """Half width of the interval as a factor."""
    return SPREADS["one" if threads == 1 else "several"]


def measured_seconds(work: Work, machine: MeasuredMachine, threads: int) -> float:
    """Seconds of one inference; interpolated in logarithms between two measured thread counts.

    Never more than with one thread: the runtime runs small operators on one thread.
    """
    alone = seconds_at(work, machine.rates[0], machine)
    below = [rates for rates in machine.rates if rates.thread_count <= threads][-1]
    above = next((rates for rates in machine.rates if rates.thread_count > threads), None)
    low = seconds_at(work, below, machine)
    if above is None or below.thread_count == threads:
        return min(alone, low)
    high = seconds_at(work, above, machine)
    span = math.log(above.thread_count / below.thread_count)
    share = math.log(threads / below.thread_count) / span
    return min(alone, math.exp((1 - share) * math.log(low) + share * math.log(high)))


def measured_int8_ratio(work: Work, device: Device, runtime: str, threads: int) -> float | None:
    """Time in int8 relative to fp32; None if the device was not measured in int8."""
    machine = device.measured
    if machine is None or not has_rates(device, runtime):
        return None
    nearest = [rates for rates in machine.rates if rates.thread_count <= threads][-1]
    known = nearest.operations_per_s
    if not {"int8_dense", "int8_matmul"} <= set(known):
        return None
    gains = {
        kind: known[int8].value / known[plain].value for kind, (int8, plain) in _INT8_GAINS.items()
    }
    faster = {kind: amount / gains.get(kind, 1.0) for kind, amount in work.operations.items()}
    quantised = work._replace(
        operations=faster,
        weight_count=work.weight_count / _ELEMENT_BYTES,
        vector_weight_count=work.vector_weight_count / gains["vector"],
    )
    return seconds_at(quantised, nearest, machine) / seconds_at(work, nearest, machine)


def seconds_at(work: Work, rates: Rates, machine: MeasuredMachine) -> float:
    """Seconds of one inference with the number of threads of the rates."""
    vector_operations = 2 * work.vector_weight_count
    matrix = dict(work.operations)
    for kind in ("matmul", "recurrent"):
        # Products with one row, counted by `vector_weight_count`, have their own rate.
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
    return computing + moving + streaming + work.layer_count * rates.layer_ns.value / SECOND_NS


def _rate(kind: str, rates: Rates) -> int:
    known = rates.operations_per_s
    return (known[kind] if kind in known else known[LIKE[kind]]).value
