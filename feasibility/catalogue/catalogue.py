"""All devices of a folder, and the one that somebody means by a name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from feasibility.catalogue.device_file import read_device
from feasibility.errors import DeviceError
from feasibility.records.device import Device
from feasibility.text import safe_text

DEFAULT_DEVICE_IDS: Final = ("budget_g85_4gb", "galaxy_s24", "rpi_4b", "rpi_5", "rtx_3070")

_WORDS: Final = re.compile(r"[a-z]+|\d+")
# What people add or leave out when they name a device.
_FILLER_WORDS: Final = frozenset({"the", "model", "gb", "gib", "g", "ram", "phone"})
_SYNONYMS: Final = {
    "pi": "rpi",
    "raspberrypi": "rpi",
    **dict.fromkeys(("raspberry", "geforce", "nvidia", "apple", "samsung", "google", "galaxy"), ""),
}


def load_catalogue(folder: Path) -> tuple[Device, ...]:
    """Every device of the folder's `*.toml` files, by id.

    Raises:
        DeviceError: The folder has no device files, a file is not valid, two files
            have the same id or alias, or a file is not named after its device.
    """
    paths = sorted(folder.glob("*.toml"))
    if not paths:
        raise DeviceError(
            "Cannot load the device catalogue",
            f"{safe_text(str(folder))} holds no .toml file",
            "reinstall feasibility, or give the path of a device file",
        )
    devices = tuple(read_device(path) for path in paths)
    _refuse_shared_names(devices)
    for path, device in zip(paths, devices, strict=True):
        if path.stem != device.id:
            raise DeviceError(
                f"Device file {safe_text(str(path))} is not valid",
                f"its id is {device.id!r}, and a file of the catalogue is named after its id",
                f"rename it to {device.id}.toml",
            )
    return devices


def find_device(text: str, devices: Sequence[Device]) -> Device:
    """The device that a name, an alias or the path of a device file means.

    Names are compared by their words, so that `pi5`, `RPi 5 8GB` and `raspberry-pi-5`
    are the same device.

    Raises:
        DeviceError: No device has this name, or a device file is not valid; the hint
            names the nearest.
    """
    if text.endswith(".toml") or "/" in text:
        return read_device(Path(text))
    exact = [device for device in devices if device.id == text]
    if exact:
        return exact[0]
    wanted = _key(text)
    matches = [device for device in devices if wanted in _keys(device)]
    if wanted and len(matches) == 1:
        return matches[0]
    raise _not_found(text, devices, matches)


def default_devices(devices: Sequence[Device]) -> tuple[Device, ...]:
    """The devices of `check` without `--device`: two phones, two boards, a server."""
    return tuple(find_device(identifier, devices) for identifier in DEFAULT_DEVICE_IDS)


def _not_found(text: str, devices: Sequence[Device], matches: Sequence[Device]) -> DeviceError:
    what = f"Cannot find device {safe_text(text, 60)!r}"
    if matches:
        names = ", ".join(device.id for device in matches)
        return DeviceError(what, f"it may mean {names}", "write the one that you mean")
    spellings = {
        spelling: device.id
        for device in devices
        for spelling in (device.id, *device.aliases, device.name.lower())
    }
    near = difflib.get_close_matches(text.lower(), spellings, n=3, cutoff=0.55)
    guesses = tuple(dict.fromkeys(spellings[spelling] for spelling in near))
    advice = f"did you mean {' or '.join(guesses)}? " if guesses else ""
    return DeviceError(
        what,
        f"the catalogue holds {len(devices)} devices and none has this name",
        f"{advice}list them with: feasibility devices list",
    )


def _keys(device: Device) -> frozenset[tuple[str, ...]]:
    return frozenset(_key(name) for name in (device.id, device.name, *device.aliases))


def _key(name: str) -> tuple[str, ...]:
    """Words and numbers of a name without fillers, in an order that does not matter."""
    words = (_SYNONYMS.get(word, word) for word in _WORDS.findall(name.lower()))
    return tuple(sorted(word for word in words if word and word not in _FILLER_WORDS))


def _refuse_shared_names(devices: Iterable[Device]) -> None:
    owners: dict[tuple[str, ...], Device] = {}
    for device in devices:
        # The id as one word stands beside its words, so that two files with one id collide
        # even where its words are all fillers.
        for name in ((device.id,), *(_key(alias) for alias in (device.id, *device.aliases))):
            owner = owners.setdefault(name, device)
            if owner is not device:
                shown = " ".join(name)
                raise DeviceError(
                    f"Device file {safe_text(device.origin)} is not valid",
                    f"the name {safe_text(shown)!r} already belongs to {safe_text(owner.origin)}",
                    "give every device an id and aliases of its own",
                )
