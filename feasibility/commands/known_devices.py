"""The devices that commands know: the catalogue, and the user's own files over it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from feasibility.records.device import Device


def user_devices_dir() -> Path:
    """Folder of the user's own device files; it need not exist."""
    from feasibility.paths import data_dir

    return data_dir() / "devices"


def known_devices() -> tuple[Device, ...]:
    """Every device of the catalogue, a file of the user's taking the place of the same id.

    Raises:
        DeviceError: A device file is not valid.
    """
    from feasibility.catalogue.load_catalogue import load_catalogue
    from feasibility.paths import devices_dir

    devices = {device.id: device for device in load_catalogue(devices_dir())}
    own = user_devices_dir()
    if any(own.glob("*.toml")):
        devices |= {device.id: device for device in load_catalogue(own)}
    return tuple(devices[identifier] for identifier in sorted(devices))
