"""Which networks are known, what does a request send, and how long does the network take?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, NamedTuple

from feasibility.model_file.element_types import ELEMENT_TYPES
from feasibility.records.intervals import DurationInterval, Network, NetworkRange
from feasibility.records.profile import Profile
from feasibility.records.shared_fields import TensorSpec
from feasibility.records.workload import InputSpec
from feasibility.units import MILLISECOND_NS, SECOND_NS

ASSUMED_NETWORK: Final = "wifi"
# At the upper end, outputs of unknown size are as large as the inputs; at the lower end nothing.
UNKNOWN_ANSWER_RATIO: Final = 1.0

_MBIT: Final = 10**6
_ELEMENTS: Final = {kind.name: kind for kind in ELEMENT_TYPES.values()}


def _range(unit: int, worst: float, usual: float, best: float) -> NetworkRange:
    return NetworkRange(
        worst=round(worst * unit), usual=round(usual * unit), best=round(best * unit)
    )


# Round trips are to a server in the same part of the world.
PRESETS: Final = {
    "wifi": Network(
        name="Wi-Fi",
        up_bits_per_s=_range(_MBIT, 5, 15, 50),
        down_bits_per_s=_range(_MBIT, 10, 30, 200),
        round_trip_ns=_range(MILLISECOND_NS, 50, 20, 10),
        source="usual rates from Firefox's throttling profile Wi-Fi (30 Mbit/s down, 15 up); "
        "other figures are unverified estimates",
    ),
    "4g": Network(
        name="4G",
        up_bits_per_s=_range(_MBIT, 0.75, 8.06, 12.19),
        down_bits_per_s=_range(_MBIT, 1.6, 90.8, 189),
        round_trip_ns=_range(MILLISECOND_NS, 150, 64, 50),
        source="worst: Lighthouse's throttling, about the slowest quarter of 4G connections; "
        "usual and best: medians of US networks, all generations together, Speedtest Q4 2023",
    ),
    "5g": Network(
        name="5G",
        up_bits_per_s=_range(_MBIT, 8.06, 21.08, 50),
        down_bits_per_s=_range(_MBIT, 50, 166, 500),
        round_trip_ns=_range(MILLISECOND_NS, 64, 50, 20),
        source="usual rates: Speedtest's worldwide 5G medians, Q3 2021; usual round trip: median "
        "of a US network, Q4 2023; best round trip: reached by 5 % of mobile users, "
        "arXiv 2507.18834; the rest is an unverified estimate",
    ),
    "lan": Network(
        name="LAN",
        up_bits_per_s=_range(_MBIT, 100, 940, 940),
        down_bits_per_s=_range(_MBIT, 100, 940, 940),
        round_trip_ns=_range(MILLISECOND_NS, 2, 0.5, 0.2),
        source="gigabit Ethernet less its framing; the rest is an unverified estimate",
    ),
}


class Transfer(NamedTuple):
    """Bytes that one request sends and fetches, as raw tensors; None where not known."""

    upload_bytes: int | None
    download_bytes: int | None
    is_upload_given: bool = False


def network_time(network: Network, transfer: Transfer) -> DurationInterval:
    """Time that the network adds to a request over an open connection.

    One round trip, the inputs at the uplink's rate and the outputs at the downlink's. The
    upper end is None where the size of the inputs is not known.
    """
    up, down = transfer.upload_bytes, transfer.download_bytes
    trip = network.round_trip_ns
    if up is None:
        return DurationInterval(low_ns=trip.best)
    least, most = (0, math.ceil(up * UNKNOWN_ANSWER_RATIO)) if down is None else (down, down)
    up_rate, down_rate = network.up_bits_per_s, network.down_bits_per_s
    return DurationInterval(
        low_ns=trip.best + transfer_ns(up, up_rate.best) + transfer_ns(least, down_rate.best),
        likely_ns=trip.usual + transfer_ns(up, up_rate.usual) + transfer_ns(least, down_rate.usual),
        high_ns=trip.worst + transfer_ns(up, up_rate.worst) + transfer_ns(most, down_rate.worst),
    )


def transfer_ns(count: int, bits_per_s: int) -> int:
    """Time that this many bytes take at this rate, rounded up."""
    return -(-count * 8 * SECOND_NS // bits_per_s)


def raw_tensors(profile: Profile) -> Transfer:
    """Bytes of the inputs that were fed and of the outputs."""
    inputs = [_input_bytes(spec) for spec in profile.workload.inputs]
    dims = profile.workload.dims
    return Transfer(
        sum_known(inputs), sum_known([_output_bytes(spec, dims) for spec in profile.model.outputs])
    )


def _input_bytes(spec: InputSpec) -> int | None:
    if spec.fill.kind == "absent":
        return 0
    return _bytes(spec.dtype, spec.shape) if spec.kind in ("tensor", "optional") else None


def _output_bytes(spec: TensorSpec, dims: Mapping[str, int]) -> int | None:
    if spec.kind != "tensor" or spec.shape is None:
        return None
    sizes = [dims.get(dim) if isinstance(dim, str) else dim for dim in spec.shape]
    known = tuple(size for size in sizes if size is not None)
    return _bytes(spec.dtype, known) if len(known) == len(sizes) else None


def _bytes(dtype: str, shape: tuple[int, ...]) -> int | None:
    """Bytes of a tensor; None for strings, whose length varies."""
    kind = _ELEMENTS.get(dtype)
    return None if kind is None else kind.size_bytes(math.prod(shape))


def sum_known(sizes: list[int | None]) -> int | None:
    """Sum of the sizes; None if the list is empty or one size is not known."""
    known = [size for size in sizes if size is not None]
    return sum(known) if sizes and len(known) == len(sizes) else None
