"""Energy of one inference: what the machine draws, for as long as it takes."""

from __future__ import annotations

import math
from typing import Final

from feasibility.records.comparison import DurationInterval, EnergyInterval
from feasibility.records.device import Device

# Device files give the most a machine may draw; one inference seldom makes it draw that.
POWER_LOW_RATIO: Final = 0.3

_MW_NS_PER_UJ: Final = 10**6


def inference_energy(device: Device, latency: DurationInterval) -> EnergyInterval | None:
    """Energy of one inference on the device; None if its power or its latency is not known.

    From `POWER_LOW_RATIO` of the most it draws for the shortest time, to all of it for the
    longest.
    """
    power = device.power_mw
    if power is None or latency.low_ns is None or latency.high_ns is None:
        return None
    watts = f"{power.value / 1000:g} W"
    note = f", {power.note}" if power.note else ""
    return EnergyInterval(
        low_uj=math.floor(power.value * POWER_LOW_RATIO * latency.low_ns / _MW_NS_PER_UJ),
        high_uj=math.ceil(power.value * latency.high_ns / _MW_NS_PER_UJ),
        explanation=f"Latency times {POWER_LOW_RATIO:g} to 1 of {watts}{note} [{power.source}].",
    )
