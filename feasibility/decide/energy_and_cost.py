"""How much energy does one inference take, and what do requests to a rented server cost?"""

from __future__ import annotations

import math
from typing import Final

from feasibility.decide.requirements import Requirements
from feasibility.records.device import Device
from feasibility.records.intervals import CostInterval, DurationInterval, EnergyInterval
from feasibility.units import SECOND_NS

# Device files give the highest power of a machine; one inference rarely reaches it.
POWER_LOW_RATIO: Final = 0.3
ALL_SERVERS: Final = ""
REQUESTS: Final = 1000

_MW_NS_PER_UJ: Final = 10**6
_HOUR_S: Final = 3600


def inference_energy(device: Device, latency: DurationInterval) -> EnergyInterval | None:
    """Energy of one inference; None if the power or the latency is not known.

    Low: shortest time at `POWER_LOW_RATIO` of the power. High: longest time at full power.
    """
    power = device.power_mw
    if power is None or latency.low_ns is None or latency.high_ns is None:
        return None
    return EnergyInterval(
        low_uj=math.floor(power.value * POWER_LOW_RATIO * latency.low_ns / _MW_NS_PER_UJ),
        high_uj=math.ceil(power.value * latency.high_ns / _MW_NS_PER_UJ),
        power_mw=power.value,
        power_source="; ".join(filter(None, (power.note, power.source))),
    )


def request_cost(
    server: Device, latency: DurationInterval, requirements: Requirements
) -> CostInterval | None:
    """Cost of 1,000 requests, one after the other; None without a price.

    Low: the server is never idle. High: with a rate, all servers that it needs, with no other work.
    """
    hourly = _hourly_price(server, requirements)
    if hourly is None or latency.low_ns is None or latency.high_ns is None:
        return None
    price, source = hourly
    second = price / _HOUR_S
    high = second * REQUESTS * latency.high_ns / SECOND_NS
    rate, servers = requirements.rate_per_s, servers_needed(latency, requirements)
    if rate is not None and servers is not None:
        high = max(high, second * REQUESTS * servers / rate)
    return CostInterval(
        low_microusd=math.floor(second * REQUESTS * latency.low_ns / SECOND_NS),
        high_microusd=math.ceil(high),
        hourly_microusd=price,
        price_source=source,
        rate_per_s=rate,
    )


def servers_needed(latency: DurationInterval, requirements: Requirements) -> int | None:
    """Most servers that the rate needs, each with one request after the other.

    One without a rate; None where the time is not known.
    """
    if requirements.rate_per_s is None:
        return 1
    if latency.high_ns is None:
        return None
    return max(1, math.ceil(requirements.rate_per_s * latency.high_ns / SECOND_NS))


def by_price(hourly_microusd: int | None) -> tuple[bool, int]:
    """Order of prices: the lowest first, unknown ones last."""
    return hourly_microusd is None, hourly_microusd or 0


def hourly_cost(
    server: Device, latency: DurationInterval, requirements: Requirements
) -> int | None:
    """Millionths of a dollar per hour for the servers that the rate needs; None unknown."""
    hourly = _hourly_price(server, requirements)
    servers = servers_needed(latency, requirements)
    return None if hourly is None or servers is None else hourly[0] * servers


def _hourly_price(server: Device, requirements: Requirements) -> tuple[int, str] | None:
    """Millionths of a dollar per hour and their source; no source for a price of the user."""
    given = requirements.prices_microusd
    for name in (server.id, ALL_SERVERS):
        if name in given:
            return given[name], ""
    if server.price is None:
        return None
    figure = server.price.hourly_microusd
    return figure.value, _joined(figure.note, server.price.as_of, figure.source)


def _joined(*parts: str) -> str:
    return ", ".join(filter(None, parts))
