"""What do the values of --network, --rate, --realtime, --price and --runtime mean?"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from feasibility.decide.network import PRESETS
from feasibility.errors import UsageError
from feasibility.predict.projected_latency import DEFAULT_RUNTIME, RUNTIME_NAMES
from feasibility.records.intervals import Network, NetworkRange
from feasibility.text import safe_text
from feasibility.units import MINUTE_NS, format_count, parse_duration_ns

NO_NETWORK: Final = "none"
_NETWORK_ALIASES: Final = {"wi-fi": "wifi", "wlan": "wifi", "lte": "4g", "ethernet": "lan"}
_HIGHEST_BITS_PER_S: Final = 10**13
_BITS_PER_S: Final = re.compile(
    r"(\d+(?:\.\d+)?)\s*(?:([kMG])(?:bit|bps))?", re.ASCII | re.IGNORECASE
)
_BIT_UNITS: Final = {"k": 10**3, "m": 10**6, "g": 10**9}

# Once in thirty years: the cost of idle servers until then is not a useful figure.
_LOWEST_RATE: Final = 1e-9
_HIGHEST_RATE: Final = 10**9
_RATE: Final = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*(?:/\s*(s|min|h))?", re.ASCII)
_SECONDS: Final = {"s": 1, "min": 60, "h": 3600}

_MICRO: Final = 10**6
_HIGHEST_MICROUSD: Final = 10**10
_PRICE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(?:USD(?:/h)?)?", re.ASCII | re.IGNORECASE)

_RUNTIME_ALIASES: Final = {"ort": "onnxruntime", "trt": "tensorrt", "tensorflowlite": "tflite"}
_SEPARATORS: Final = re.compile(r"[\s_.-]+")


def parse_network(text: str) -> Network | None:
    """The network that a preset or `UP/DOWN/RTT` names; None for `none`.

    Rates are in Mbit/s unless they say `kbit`, `Mbit` or `Gbit`; the round trip is in
    milliseconds unless it has a unit. For example `10/50/40ms`.
    """
    name = text.strip().casefold()
    name = _NETWORK_ALIASES.get(name, name)
    if name == NO_NETWORK:
        return None
    if name in PRESETS:
        return PRESETS[name]
    parts = [part.strip() for part in text.split("/")]
    if len(parts) != 3:
        raise _network_error(text, "it is neither a known network nor UP/DOWN/RTT")
    up, down = _bits_per_s(text, parts[0]), _bits_per_s(text, parts[1])
    round_trip = _round_trip_ns(text, parts[2])
    up_text, down_text = (format_count(rate, "bit/s") for rate in (up, down))
    return Network(
        name=f"a network with {up_text} up and {down_text} down",
        up_bits_per_s=NetworkRange(worst=up, usual=up, best=up),
        down_bits_per_s=NetworkRange(worst=down, usual=down, best=down),
        round_trip_ns=NetworkRange(worst=round_trip, usual=round_trip, best=round_trip),
        source="given with --network",
    )


def _bits_per_s(text: str, part: str) -> int:
    match = _BITS_PER_S.fullmatch(part)
    if match is None:
        raise _network_error(text, f"{safe_text(part)!r} is not a rate in Mbit/s")
    rate = round(Decimal(match[1]) * _BIT_UNITS[(match[2] or "m").lower()])
    if not 1 <= rate <= _HIGHEST_BITS_PER_S:
        raise _network_error(text, f"no network has a rate of {safe_text(part)!r}")
    return rate


def _round_trip_ns(text: str, part: str) -> int:
    try:
        duration = parse_duration_ns(part if not part[-1:].isdigit() else f"{part}ms")
    except UsageError as error:
        raise _network_error(text, f"{safe_text(part)!r} is not a round trip in ms") from error
    if duration > MINUTE_NS:
        raise _network_error(text, f"a round trip of {safe_text(part)!r} is longer than a minute")
    return duration


def _network_error(text: str, why: str) -> UsageError:
    return UsageError(
        f"Cannot read the network {safe_text(text)!r}",
        why,
        f"write {', '.join(PRESETS)}, {NO_NETWORK}, or for example 10/50/40ms: Mbit/s up, "
        "Mbit/s down, round trip",
    )


def parse_rate_per_s(text: str) -> float:
    """Inferences per second that `30`, `30/s`, `10/min` or `2/h` names."""
    match = _RATE.fullmatch(text.strip())
    rate = float(match[1]) / _SECONDS[match[2] or "s"] if match else 0.0
    if not _LOWEST_RATE <= rate <= _HIGHEST_RATE:
        raise UsageError(
            f"Cannot read --rate {safe_text(text)!r}",
            f"a rate is a plain number above zero, at most {_HIGHEST_RATE:,} inferences per second",
            "write for example --rate 30 or --rate 10/min",
        )
    return rate


def parse_realtime_ns(text: str) -> int:
    """Nanoseconds of signal that `0.975s` names."""
    duration = parse_duration_ns(text)
    if duration == 0:
        raise UsageError(
            f"Cannot read --realtime {safe_text(text)!r}",
            "the signal of one inference must be longer than zero",
            "write for example --realtime 0.975s",
        )
    return duration


def parse_prices(texts: Iterable[str] | None) -> dict[str, int]:
    """Hourly prices by server name, in millionths of a US dollar.

    The empty name stands for all servers.
    """
    prices: dict[str, int] = {}
    for text in texts or ():
        name, equals, price = text.rpartition("=")
        if equals and not name.strip():
            raise _price_error(text, "the name of the server before the equals sign is missing")
        if name.strip() in prices:
            what = f"the price of {safe_text(name)!r}" if name else "the price of all servers"
            raise _price_error(text, f"{what} is given twice")
        prices[name.strip()] = _price_microusd(text, price)
    return prices


def _price_microusd(text: str, part: str) -> int:
    match = _PRICE.fullmatch(part.strip())
    if match is None:
        raise _price_error(text, "a price is US dollars per hour, zero or more")
    price = round(Decimal(match[1]) * _MICRO)
    if price > _HIGHEST_MICROUSD:
        raise _price_error(text, "the highest price is 10000 USD per hour")
    return price


def _price_error(text: str, why: str) -> UsageError:
    return UsageError(
        f"Cannot read --price {safe_text(text)!r}",
        why,
        "write for example --price 0.526 or --price t4=0.526, in US dollars per hour",
    )


def parse_runtime(text: str) -> str:
    """Key of the runtime that `ncnn`, `ONNX Runtime` or `LiteRT` names."""
    keys = {_plain(name): key for key, shown in RUNTIME_NAMES.items() for name in (key, shown)}
    keys |= _RUNTIME_ALIASES
    wanted = _plain(text)
    if wanted in keys:
        return keys[wanted]
    near = difflib.get_close_matches(wanted, keys, n=1)
    raise UsageError(
        f"Cannot project times for the runtime {safe_text(text, 40)!r}",
        f"the known runtimes are {', '.join(RUNTIME_NAMES)}",
        f"did you mean {keys[near[0]]}?" if near else f"the default is {DEFAULT_RUNTIME}",
    )


def _plain(name: str) -> str:
    return _SEPARATORS.sub("", name).casefold()
