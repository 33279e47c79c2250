"""All devices of a folder, and the one that somebody means by a name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from feasibility.catalogue.device_names import matching, suggestions, word_key
from feasibility.catalogue.read_device_file import read_device, refuse_key
from feasibility.errors import DeviceError
from feasibility.records.device import Device
from feasibility.text import safe_text

DEFAULT_DEVICE_IDS: Final = ("budget_g85_4gb", "galaxy_s24", "rpi_4b", "rpi_5", "rtx_3070")

# The id that `devices this` gives to the machine that it runs on.
THIS_ID: Final = "this"


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
            why = f"{device.id!r}, but a file of the catalogue is named after its id"
            refuse_key(path, "id", why, f"rename it to {device.id}.toml")
    return devices


def find_device(text: str, devices: Sequence[Device]) -> Device:
    """The device that a name, an alias or the path of a device file means.

    Spellings do not matter: `pi5`, `RPi 5 8GB` and `raspberry-pi-5` are the same device.

    Raises:
        DeviceError: No device has this name, or a device file is not valid; the hint
            names the nearest.
    """
    if text.endswith(".toml") or "/" in text:
        return read_device(Path(text))
    exact = [device for device in devices if device.id == text]
    if exact:
        return exact[0]
    matches = matching(text, devices)
    if len(matches) == 1:
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
    if text == THIS_ID:
        return DeviceError(
            what,
            "this machine was not measured yet",
            "measure it, in under two minutes: feasibility devices this",
        )
    guesses = suggestions(text, devices)
    advice = f"did you mean {' or '.join(guesses)}? " if guesses else ""
    return DeviceError(
        what,
        f"the catalogue holds {len(devices)} devices and none has this name",
        f"{advice}list them with: feasibility devices list",
    )


def _refuse_shared_names(devices: Iterable[Device]) -> None:
    owners: dict[tuple[str, ...], tuple[Device, str]] = {}
    for device in devices:
        for key, text, words in _names_by_key(device):
            owner, theirs = owners.setdefault(words, (device, text))
            if owner is not device:
                there = safe_text(owner.origin)
                there += f" as {safe_text(theirs)!r}" if theirs != text else ""
                why = f"the name {safe_text(text)!r} already belongs to {there}"
                hint = "give every device an id, a name and aliases of its own"
                refuse_key(Path(device.origin), key, why, hint)


def _names_by_key(device: Device) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    """Each name with the key that it stands under and what it is compared by."""
    named = (("id", device.id), ("name", device.name), *(("aliases", a) for a in device.aliases))
    return (
        # As one word too, so that two files with one id collide even where its words are all
        # fillers.
        ("id", device.id, (device.id,)),
        *((key, text, word_key(text)) for key, text in named),
    )
