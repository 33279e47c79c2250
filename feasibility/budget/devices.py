"""What a device grants a model, as a bound on figures that were measured here."""

from __future__ import annotations

import functools
from typing import Final

from feasibility.catalogue.load_catalogue import find_device, load_catalogue
from feasibility.errors import DeviceError
from feasibility.paths import devices_dir
from feasibility.records.budget import Metric
from feasibility.records.device import Device
from feasibility.text import safe_text

_STORAGE_METRICS: Final[frozenset[Metric]] = frozenset({"file_size"})


@functools.cache
def device_named(name: str) -> Device:
    """The device that a name means.

    Raises:
        DeviceError: The catalogue has no such device.
    """
    return find_device(name, load_catalogue(devices_dir()))


def device_bound(name: str, metric: Metric) -> int:
    """Bytes that a device leaves to a model: storage, or memory without the runtime's own.

    Raises:
        DeviceError: There is no such device, or it sets no such bound.
    """
    device = device_named(name)
    limits = device.limits
    if metric in _STORAGE_METRICS:
        if limits.model_storage_bytes is not None:
            return limits.model_storage_bytes.value
    else:
        grant = device.grant(None)
        if grant is not None:
            return max(0, grant.memory_bytes.value - limits.runtime_bytes.value)
    raise DeviceError(
        f"Cannot bound {metric} by {safe_text(name)!r}",
        f"the catalogue knows no such limit of {safe_text(device.name)}",
        "write an absolute limit",
    )
