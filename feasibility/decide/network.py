"""The way from a device to a server: usual networks, reading one, and the time it takes."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Final, NamedTuple

from feasibility.errors import UsageError
from feasibility.records.comparison import DurationInterval, Network, NetworkRange
from feasibility.text import safe_text
from feasibility.units import MILLISECOND_NS, MINUTE_NS, SECOND_NS, format_bytes, parse_duration_ns

NO_NETWORK: Final = "none"
_OTHER_NAMES: Final = {"wi-fi": "wifi", "wlan": "wifi", "lte": "4g", "ethernet": "lan"}
ASSUMED_NETWORK: Final = "wifi"
# An answer of unknown size is at the upper end as large as the question, else nothing.
UNKNOWN_ANSWER_RATIO: Final = 1.0

_MBIT: Final = 10**6
_HIGHEST_RATE: Final = 10**13
_RATE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([kMG])(?:bit|bps))?", re.ASCII | re.IGNORECASE)
_RATE_UNITS: Final = {"k": 10**3, "m": 10**6, "g": 10**9}


def _preset(
    name: str,
    up: tuple[float, float, float],
    down: tuple[float, float, float],
    round_trip: tuple[float, float, float],
    source: str,
) -> Network:
    """A network from Mbit/s and milliseconds, each at its worst, as usual and at its best."""
    return Network(
        name=name,
        up_bits_per_s=_range(up, _MBIT),
        down_bits_per_s=_range(down, _MBIT),
        round_trip_ns=_range(round_trip, MILLISECOND_NS),
        source=source,
    )


def _range(values: tuple[float, float, float], factor: int) -> NetworkRange:
    worst, usual, best = (round(value * factor) for value in values)
    return NetworkRange(worst=worst, usual=usual, best=best)


# Round trips are to a server in the same part of the world.
PRESETS: Final = {
    "wifi": _preset(
        "Wi-Fi",
        up=(5, 15, 50),
        down=(10, 30, 200),
        round_trip=(50, 20, 10),
        source="usual rates: Firefox's throttling profile Wi-Fi (30 Mbit/s down, 15 up); the rest, "
        "round trips among it, unverified judgement",
    ),
    "4g": _preset(
        "4G",
        up=(0.75, 8.06, 12.19),
        down=(1.6, 90.8, 189),
        round_trip=(150, 64, 50),
        source="worst: Lighthouse's throttling, about the slowest quarter of 4G connections; "
        "usual and best: medians of US networks, all generations together, Speedtest Q4 2023",
    ),
    "5g": _preset(
        "5G",
        up=(8.06, 21.08, 50),
        down=(50, 166, 500),
        round_trip=(64, 50, 20),
        source="usual rates: Speedtest's worldwide 5G medians, Q3 2021; usual round trip: median "
        "of a US network, Q4 2023; best round trip: reached by 5 % of mobile users, "
        "arXiv 2507.18834; the rest unverified judgement",
    ),
    "lan": _preset(
        "LAN",
        up=(100, 940, 940),
        down=(100, 940, 940),
        round_trip=(2, 0.5, 0.2),
        source="gigabit Ethernet less its framing; unverified judgement for the rest",
    ),
}


class Payload(NamedTuple):
    """Bytes that one request sends and fetches; None where it is not known.

    They are those of plain tensors, unless somebody gave what is sent.
    """

    upload_bytes: int | None
    download_bytes: int | None
    is_upload_given: bool = False

    @property
    def upload_text(self) -> str:
        """What is sent, for example `588 KiB of plain tensors`."""
        if self.upload_bytes is None:
            return "inputs of unknown size"
        size = format_bytes(self.upload_bytes)
        return size if self.is_upload_given else f"{size} of plain tensors"


def parse_network(text: str) -> Network | None:
    """The network that a preset or `UP/DOWN/RTT` names; None for `none`.

    Rates are in Mbit/s unless they say `kbit`, `Mbit` or `Gbit`; the round trip is in
    milliseconds unless it has a unit. For example `10/50/40ms`.

    Raises:
        UsageError: It is neither, or a rate is zero or more than any network has.
    """
    name = text.strip().casefold()
    name = _OTHER_NAMES.get(name, name)
    if name == NO_NETWORK:
        return None
    if name in PRESETS:
        return PRESETS[name]
    parts = [part.strip() for part in text.split("/")]
    if len(parts) != 3:
        raise _unreadable(text, "it is neither a network that is known nor UP/DOWN/RTT")
    up, down = _rate(text, parts[0]), _rate(text, parts[1])
    round_trip = _round_trip(text, parts[2])
    return Network(
        name=f"a network of {_rate_text(up)} up and {_rate_text(down)} down",
        up_bits_per_s=NetworkRange(worst=up, usual=up, best=up),
        down_bits_per_s=NetworkRange(worst=down, usual=down, best=down),
        round_trip_ns=NetworkRange(worst=round_trip, usual=round_trip, best=round_trip),
        source="given with --network",
    )


def network_time(network: Network, payload: Payload) -> DurationInterval:
    """Time that the network adds to a request over a connection that is open already.

    One round trip, the inputs at the uplink's rate and the outputs at the downlink's. The
    upper end is None where the size of the inputs is not known.
    """
    up, down = payload.upload_bytes, payload.download_bytes
    trip = network.round_trip_ns
    least, most = (0, math.ceil((up or 0) * UNKNOWN_ANSWER_RATIO)) if down is None else (down, down)
    explanation = f"One round trip over {network.name} on a connection that is open"
    if up is None:
        return DurationInterval(
            low_ns=trip.best, explanation=f"{explanation}; the size of the inputs is not known."
        )
    answer = "outputs of unknown size" if down is None else f"{format_bytes(down)} back"
    up_rate, down_rate = network.up_bits_per_s, network.down_bits_per_s
    return DurationInterval(
        low_ns=trip.best + transfer_ns(up, up_rate.best) + transfer_ns(least, down_rate.best),
        likely_ns=trip.usual + transfer_ns(up, up_rate.usual) + transfer_ns(least, down_rate.usual),
        high_ns=trip.worst + transfer_ns(up, up_rate.worst) + transfer_ns(most, down_rate.worst),
        explanation=f"{explanation}, {payload.upload_text} up, {answer}. {network.source}.",
    )


def transfer_ns(count: int, bits_per_s: int) -> int:
    """Time that this many bytes take at this rate, rounded up."""
    return -(-count * 8 * SECOND_NS // bits_per_s)


def _rate(text: str, part: str) -> int:
    match = _RATE.fullmatch(part)
    if match is None:
        raise _unreadable(text, f"{safe_text(part)!r} is not a rate in Mbit/s")
    rate = round(Decimal(match[1]) * _RATE_UNITS[(match[2] or "m").lower()])
    if not 1 <= rate <= _HIGHEST_RATE:
        raise _unreadable(text, f"no network carries {safe_text(part)!r}")
    return rate


def _round_trip(text: str, part: str) -> int:
    try:
        duration = parse_duration_ns(part if not part[-1:].isdigit() else f"{part}ms")
    except UsageError as error:
        raise _unreadable(text, f"{safe_text(part)!r} is not a round trip in ms") from error
    if duration > MINUTE_NS:
        raise _unreadable(text, f"no round trip takes {safe_text(part)!r}")
    return duration


def _rate_text(bits_per_s: int) -> str:
    for name, factor in (("Gbit/s", 10**9), ("Mbit/s", 10**6), ("kbit/s", 10**3)):
        if bits_per_s >= factor:
            return f"{bits_per_s / factor:.3g} {name}"
    return f"{bits_per_s} bit/s"


def _unreadable(text: str, why: str) -> UsageError:
    return UsageError(
        f"Cannot read the network {safe_text(text)!r}",
        why,
        f"write {', '.join(PRESETS)}, {NO_NETWORK}, or for example 10/50/40ms: Mbit/s up, "
        "Mbit/s down, round trip",
    )
