"""What requests cost on a rented server."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final

from feasibility.decide.requirements import Requirements
from feasibility.errors import UsageError
from feasibility.records.comparison import CostInterval, DurationInterval
from feasibility.records.device import Device
from feasibility.text import safe_text
from feasibility.units import SECOND_NS

ALL_SERVERS: Final = ""
REQUESTS: Final = 1000

_MICRO: Final = 10**6
_HOUR_S: Final = 3600
_HIGHEST_MICROUSD: Final = 10**10
_PRICE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(?:USD(?:/h)?)?", re.ASCII | re.IGNORECASE)


def request_cost(
    server: Device, latency: DurationInterval, requirements: Requirements
) -> CostInterval | None:
    """Cost of 1,000 requests on the server, one after the other; None without a price.

    The lower end is a server that is never idle. With a rate the upper end is that of
    servers that do nothing else.
    """
    hourly = _hourly_price(server, requirements)
    if hourly is None or latency.low_ns is None or latency.high_ns is None:
        return None
    price, where_from = hourly
    second = price / _HOUR_S
    high = second * REQUESTS * latency.high_ns / SECOND_NS
    text = f"{price / _MICRO:.6g} USD per hour ({where_from}); a server that is never idle"
    rate, servers = requirements.rate_per_s, servers_needed(latency, requirements)
    if rate is not None and servers is not None:
        high = max(high, second * REQUESTS * servers / rate)
        text += f", to servers that do nothing else than {rate:g} requests per second"
    return CostInterval(
        low_microusd=math.floor(second * REQUESTS * latency.low_ns / SECOND_NS),
        high_microusd=math.ceil(high),
        explanation=f"{text}.",
    )


def servers_needed(latency: DurationInterval, requirements: Requirements) -> int | None:
    """Servers that keep up with the rate at most, each doing one request after the other.

    One where no rate was asked for; None where the time is not known.
    """
    if requirements.rate_per_s is None:
        return 1
    if latency.high_ns is None:
        return None
    return max(1, math.ceil(requirements.rate_per_s * latency.high_ns / SECOND_NS))


def by_price(hourly_microusd: int | None) -> tuple[bool, int]:
    """Order of prices: the lowest first, those that are not known last."""
    return hourly_microusd is None, hourly_microusd or 0


def hourly_cost(
    server: Device, latency: DurationInterval, requirements: Requirements
) -> int | None:
    """Millionths of a dollar per hour of as many servers as the rate needs; None unknown."""
    hourly = _hourly_price(server, requirements)
    servers = servers_needed(latency, requirements)
    return None if hourly is None or servers is None else hourly[0] * servers


def parse_prices(texts: Iterable[str] | None) -> dict[str, int]:
    """Hourly prices by server name, in millionths of a US dollar.

    The empty name stands for all servers.

    Raises:
        UsageError: One is not a price, or a server is given twice.
    """
    prices: dict[str, int] = {}
    for text in texts or ():
        name, equals, price = text.rpartition("=")
        if equals and not name.strip():
            raise _unreadable(text, "there is no server before the equals sign")
        if name.strip() in prices:
            what = f"the price of {safe_text(name)!r}" if name else "the price of all servers"
            raise _unreadable(text, f"{what} is given twice")
        prices[name.strip()] = parse_price_microusd(price)
    return prices


def parse_price_microusd(text: str) -> int:
    """Millionths of a US dollar per hour that `0.526` or `0.526 USD/h` names.

    Raises:
        UsageError: It is not a price, or nobody pays that much.
    """
    match = _PRICE.fullmatch(text.strip())
    if match is None:
        raise _unreadable(text, "a price is US dollars per hour, zero or more")
    price = round(Decimal(match[1]) * _MICRO)
    if price > _HIGHEST_MICROUSD:
        raise _unreadable(text, "no server costs 10000 USD an hour")
    return price


def _hourly_price(server: Device, requirements: Requirements) -> tuple[int, str] | None:
    """Millionths of a dollar per hour, and where that is from."""
    given: Mapping[str, int] = requirements.prices_microusd
    for name in (server.id, ALL_SERVERS):
        if name in given:
            return given[name], "given with --price"
    if server.price is None:
        return None
    figure = server.price.hourly_microusd
    note = f"{figure.note}, " if figure.note else ""
    return figure.value, f"{note}{server.price.as_of}, {figure.source}"


def _unreadable(text: str, why: str) -> UsageError:
    return UsageError(
        f"Cannot read --price {safe_text(text)!r}",
        why,
        "write for example --price 0.526 or --price t4=0.526, in US dollars per hour",
    )
