"""Time of one inference on a CPU: operations, bytes and dispatch, one after the other.

    seconds = (sum over kinds of operations / efficiency
               + activations x cost of one) / rate of the cores
            + bytes / share of the memory bus
            + layers x cycles / clock

The same functions serve the projection of one model (floats) and the fit over all published
rows (numpy arrays), so that what is calibrated is what runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

# Kinds of work whose efficiency is fitted. `winograd` is what a 3x3 convolution of stride one
# would be done by where the runtime has such kernels; `vector` is a product with one row.
FITTED_KINDS: Final = ("winograd", "dense", "pointwise", "depthwise", "grouped", "vector")

_FP32_BYTES: Final = 4

# Shares of the peak that published rows say nothing about: judgements, near what ONNX Runtime
# reached on one x86-64 machine (matrix products 0.7 of the peak).
JUDGED_EFFICIENCY: Final[Mapping[str, float]] = {
    "matmul": 0.60,
    "attention": 0.45,
    "recurrent": 0.30,
    "quantization": 0.40,
    "tree": 0.02,
    "other": 0.10,
}


class Work(NamedTuple):
    """What one inference asks of a processor.

    Attributes:
        operations: Operations by kind, a multiply-add as 2.
        activation_count: Elements of activations read and written by all layers.
        weight_count: Weights that are used many times each (convolutions).
        vector_weight_count: Weights that are used once (products with one row).
        layer_count: Layers that the runtime dispatches.
    """

    operations: Mapping[str, float]
    activation_count: float
    weight_count: float
    vector_weight_count: float
    layer_count: float

    @property
    def total(self) -> float:
        """All operations."""
        return sum(self.operations.values())


class Cores(NamedTuple):
    """What a number of threads gets of a CPU.

    Attributes:
        lead: Peak operations per second of the fastest core, under its family.
        used: The same of all cores that are used, the fastest included.
        slowest: The same of the slowest core that is used.
        clock_hz: Clock of the fastest core.
        bandwidth_bytes_per_s: Peak of the memory bus.
        thread_count: Threads.
        element_bytes: Bytes of one value: 4 for fp32, 2 for fp16.
        is_half: 1 where arithmetic is done in fp16, else 0.
        is_computer: 1 for laptops, desktops and servers, else 0.
    """

    lead: Mapping[str, float]
    used: Mapping[str, float]
    slowest: Mapping[str, float]
    clock_hz: float
    bandwidth_bytes_per_s: float
    thread_count: float
    element_bytes: float
    is_half: float
    is_computer: float


class Coefficients(NamedTuple):
    """What is fitted; all positive.

    Attributes:
        efficiency: Share of the peak that each kind of work reaches.
        family_rate: What a core family sustains, relative to its paper peak.
        activation_operations: Operations that one activation element costs on top.
        transform_operations: The same for the share done by Winograd kernels.
        bus_share: Share of the memory bus that one thread gets; T threads get 1-(1-share)^T.
        weight_reads: How often a convolution's weights cross the bus.
        vector_weight_reads: The same for products with one row.
        layer_cycles: Cycles of dispatching one layer.
        thread_cycles: Cycles that each further thread adds to every layer.
        even_share: Share of the work that is dealt to threads in equal parts, of which the one
            on the slowest core ends last; the rest follows the speed of the cores.
        thread_room: Operations per byte of the bus, in fp32, at which further cores do half of what
            they could: caches and bus are shared.
        computer_room: The same on a computer relative to a phone or board, for its larger
            caches.
        half_gain: Rate of fp16 arithmetic relative to fp32.
    """

    efficiency: Mapping[str, float]
    family_rate: Mapping[str, float]
    activation_operations: float
    transform_operations: float
    bus_share: float
    weight_reads: float
    vector_weight_reads: float
    layer_cycles: float
    thread_cycles: float
    even_share: float
    thread_room: float
    computer_room: float
    half_gain: float


def cpu_seconds(work: Work, cores: Cores, k: Coefficients, *, winograd_ratio: float = 1.0) -> float:
    """Seconds of one inference.

    No core, clock or bus made faster makes it longer.

    Args:
        work: What is to be done.
        cores: What does it.
        k: The coefficients.
        winograd_ratio: Efficiency of the runtime on `winograd` work relative to the one that
            the coefficients describe.
    """
    return sum(cpu_terms(work, cores, k, winograd_ratio=winograd_ratio).values())


def cpu_terms(
    work: Work, cores: Cores, k: Coefficients, *, winograd_ratio: float = 1.0
) -> dict[str, float]:
    """The seconds of `cpu_seconds` by what they are spent on.

    The keys are the kinds of operations, `activations`, `bytes` and `dispatch`.
    """
    rate = sustained_rate(cores, k)
    terms = {
        kind: amount
        / (efficiency(kind, k) * (winograd_ratio if kind == "winograd" else 1.0))
        / rate
        for kind, amount in work.operations.items()
    }
    transformed = work.operations.get("winograd", 0.0) / work.total
    terms["activations"] = (
        work.activation_count
        * (k.activation_operations + k.transform_operations * transformed)
        / rate
    )
    share: float = 1.0 - (1.0 - k.bus_share) ** cores.thread_count
    moved = cores.element_bytes * (
        work.activation_count
        + k.weight_reads * work.weight_count
        + k.vector_weight_reads * work.vector_weight_count
    )
    terms["bytes"] = moved / (cores.bandwidth_bytes_per_s * share)
    cycles = k.layer_cycles + k.thread_cycles * (cores.thread_count - 1.0)
    terms["dispatch"] = work.layer_count * cycles / cores.clock_hz
    return terms


def efficiency(kind: str, k: Coefficients) -> float:
    """Share of the peak that a kind of work reaches, fitted or judged."""
    return k.efficiency[kind] if kind in FITTED_KINDS else JUDGED_EFFICIENCY[kind]


def sustained_rate(cores: Cores, k: Coefficients) -> float:
    """Operations per second of all threads on work of efficiency 1.

    Cores beside the first share caches and the bus with it; the more all of them could do
    for each byte of the bus, the less of it they get to do.
    """
    lead = _at(cores.lead, k)
    used = _at(cores.used, k)
    # As many equal parts as threads take what the slowest core takes; never longer than the
    # fastest core takes for all of them.
    even = larger(lead, _at(cores.slowest, k) * cores.thread_count)
    used = used + k.even_share * (even - used)
    # Halves fill caches and bus half as much.
    room = k.thread_room * cores.bandwidth_bytes_per_s * (_FP32_BYTES / cores.element_bytes)
    room = room * (1.0 + (k.computer_room - 1.0) * cores.is_computer)
    others = (used - lead) / (1.0 + used / room)
    return (lead + others) * (1.0 + (k.half_gain - 1.0) * cores.is_half)


def _at(rates: Mapping[str, float], k: Coefficients) -> float:
    """Operations per second of cores whose peaks are given by family."""
    return sum(k.family_rate[family] * rate for family, rate in rates.items())


def larger(left: float, right: float) -> float:
    """The larger of two numbers, or of each pair of two arrays."""
    return (left + right + abs(left - right)) / 2
