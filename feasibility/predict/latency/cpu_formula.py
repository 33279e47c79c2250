"""How long does one inference take on a CPU? Operations, bytes and dispatch, added up.

    seconds = (sum over kinds of  operations / efficiency / ratio of the runtime
               + activations x cost of one / ratio of the runtime) / rate of the cores
            + bytes / share of the memory bus
            + layers x cycles / ratio of the runtime / clock

The same functions serve the projection of one model (floats) and the fit to all published rows
(numpy arrays), so the fitted formula is the projected one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from msgspec import Struct

# Kinds of work whose efficiency is fitted. `winograd`: 3x3 convolutions of stride one in a runtime
# with Winograd kernels; `direct`: the same in another. `vector`: products with one row.
FITTED_KINDS: Final = (
    "winograd", "direct", "dense", "pointwise", "depthwise", "grouped", "vector", "matmul",
)  # fmt: skip
# Shares of the peak for work that published rows do not have: estimates.
ESTIMATED_EFFICIENCY: Final[Mapping[str, float]] = {
    "recurrent": 0.30,
    "quantization": 0.40,
    "tree": 0.02,
    "other": 0.10,
}
WINOGRAD_RUNTIMES: Final = frozenset(
    {"ncnn", "paddle-lite", "tnn", "bolt", "mnn", "opencv", "paddle"}
)
_FP32_BYTES: Final = 4


class Work(NamedTuple):
    """The work of one inference.

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
    """The cores of a CPU that a number of threads uses.

    Attributes:
        lead: Peak operations per second of the fastest core, under its family.
        used: The same for all cores that are used, the fastest included.
        bandwidth_bytes_per_s: Peak of the memory bus.
        thread_doublings: Logarithm of the number of threads to base 2.
        element_bytes: Bytes of one value: 4 for fp32, 2 for fp16.
        is_half: 1 if arithmetic is in fp16, else 0.
        is_computer: 1 for laptops, desktops and servers, else 0.
    """

    lead: Mapping[str, float]
    used: Mapping[str, float]
    clock_hz: float
    bandwidth_bytes_per_s: float
    thread_count: float
    thread_doublings: float
    element_bytes: float
    is_half: float
    is_computer: float


class CpuCoefficients(Struct, frozen=True):
    """The fitted coefficients; all positive.

    Attributes:
        efficiency: Share of the peak that each kind of work reaches.
        family_rate: Rate of a core family relative to its peak on paper.
        activation_operations: Additional operations per activation element.
        bus_share: Share of the memory bus that one thread gets; T threads get 1-(1-share)^T.
        layer_cycles: Cycles to dispatch one layer.
        thread_cycles: Cycles that each doubling of the threads adds to every layer.
        thread_room: Operations per byte of the bus, in fp32, at which further cores reach half
            their rate, because cores share caches and bus.
        computer_room: The same on a computer relative to a phone or board, because its caches
            are larger.
        half_gain: Rate of fp16 arithmetic relative to fp32.
    """

    efficiency: Mapping[str, float]
    family_rate: Mapping[str, float]
    activation_operations: float
    bus_share: float
    layer_cycles: float
    thread_cycles: float
    thread_room: float
    computer_room: float
    half_gain: float


def kernels_of(work: Work, runtime: str) -> Work:
    """The work by the kernels that a runtime has for it."""
    operations = dict(work.operations)
    if runtime not in WINOGRAD_RUNTIMES:
        operations["direct"] = operations.pop("winograd", 0.0)
    # A fused attention is matrix products.
    operations["matmul"] = operations.get("matmul", 0.0) + operations.pop("attention", 0.0)
    return work._replace(operations=operations)


def cpu_seconds(work: Work, cores: Cores, k: CpuCoefficients, ratios: Mapping[str, float]) -> float:
    """Seconds of one inference. A faster core, clock or bus never gives a longer time.

    `ratios` are rates of the runtime relative to a typical one: on each kind of work, on
    activations, and of dispatch. A missing one is 1.
    """
    computing = sum(
        amount / (efficiency(kind, k) * ratios.get(kind, 1.0))
        for kind, amount in work.operations.items()
    )
    activations = work.activation_count * k.activation_operations / ratios.get("activation", 1.0)
    share: float = 1.0 - (1.0 - k.bus_share) ** cores.thread_count
    moved = cores.element_bytes * (
        work.activation_count + work.weight_count + work.vector_weight_count
    )
    cycles = k.layer_cycles + k.thread_cycles * cores.thread_doublings
    return (
        (computing + activations) / sustained_rate(cores, k)
        + moved / (cores.bandwidth_bytes_per_s * share)
        + work.layer_count * cycles / (ratios.get("dispatch", 1.0) * cores.clock_hz)
    )


def efficiency(kind: str, k: CpuCoefficients) -> float:
    """Share of the peak that a kind of work reaches, fitted or estimated."""
    return k.efficiency[kind] if kind in FITTED_KINDS else ESTIMATED_EFFICIENCY[kind]


def sustained_rate(cores: Cores, k: CpuCoefficients) -> float:
    """Operations per second of all threads on work of efficiency 1.

    All cores share caches and bus. The more operations they could do per byte of the bus, the
    more they wait for it.
    """
    lead = _at(cores.lead, k)
    used = _at(cores.used, k)
    # fp16 values need half the space in caches and on the bus.
    room = k.thread_room * cores.bandwidth_bytes_per_s * (_FP32_BYTES / cores.element_bytes)
    room = room * (1.0 + (k.computer_room - 1.0) * cores.is_computer)
    others = (used - lead) / (1.0 + used / room)
    return (lead + others) * (1.0 + (k.half_gain - 1.0) * cores.is_half)


def _at(rates: Mapping[str, float], k: CpuCoefficients) -> float:
    """Operations per second of cores whose peaks are given by family."""
    return sum(k.family_rate[family] * rate for family, rate in rates.items())
