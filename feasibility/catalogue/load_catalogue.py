"""Which devices are in the catalogue, and which of them does a name or a search mean?"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Final, get_args

from feasibility.catalogue.device_names import matching, suggestions, word_key
from feasibility.catalogue.read_device_file import read_device, refuse_key
from feasibility.errors import DeviceError, UsageError
from feasibility.paths import devices_dir, user_devices_dir
from feasibility.records.device import Device, Kind
from feasibility.text import safe_text

# The devices of `check` without --device: two phones, two boards, a server.
DEFAULT_DEVICE_IDS: Final = ("budget_g85_4gb", "galaxy_s24", "rpi_4b", "rpi_5", "rtx_3070")

# The default id of `devices this`.
THIS_ID: Final = "this"


def load_catalogue(folder: Path) -> tuple[Device, ...]:
    """The devices of the folder's `*.toml` files, sorted by id."""
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


def known_devices() -> tuple[Device, ...]:
    """The shipped devices and the user's, by id; a user's file replaces a shipped one."""
    devices = {device.id: device for device in load_catalogue(devices_dir())}
    own = user_devices_dir()
    if any(own.glob("*.toml")):
        devices |= {device.id: device for device in load_catalogue(own)}
    return tuple(devices[identifier] for identifier in sorted(devices))


def find_device(text: str, devices: Sequence[Device]) -> Device:
    """The device that a name, an alias or the path of a device file means.

    `pi5`, `RPi 5 8GB` and `raspberry-pi-5` are spellings of the same device.

    Raises:
        DeviceError: No device or several devices have this name, or a device file is not
            valid.
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


def chosen_devices(names: Sequence[str] | None) -> tuple[Device, ...]:
    """The known devices of these names, each once; without names those of `DEFAULT_DEVICE_IDS`."""
    catalogue = known_devices()
    found: dict[str, Device] = {}
    for name in names or DEFAULT_DEVICE_IDS:
        device = find_device(name, catalogue)
        refuse_shared_id(device, found.values())
        found[device.id] = device
    return tuple(found.values())


def refuse_shared_id(device: Device, others: Iterable[Device]) -> None:
    """Refuse a device that has the id of a device from another file."""
    for other in others:
        if other.id == device.id and other.origin != device.origin:
            raise DeviceError(
                f"Cannot use two devices with the id {device.id!r}",
                f"{safe_text(other.origin)} and {safe_text(device.origin)} have the same id",
                "give one of them another id",
            )


def _not_found(text: str, devices: Sequence[Device], matches: Sequence[Device]) -> DeviceError:
    what = f"Cannot find device {safe_text(text, 60)!r}"
    if matches:
        names = ", ".join(device.id for device in matches)
        return DeviceError(what, f"it may mean {names}", "write one of these ids")
    if text == THIS_ID:
        return DeviceError(
            what,
            "this machine has not been measured yet",
            "measure it, in under two minutes: feasibility devices this",
        )
    guesses = suggestions(text, devices)
    advice = f"did you mean {' or '.join(guesses)}? " if guesses else ""
    return DeviceError(
        what,
        f"no device of {len(devices)} in the catalogue has this name",
        f"{advice}list them with: feasibility devices list",
    )


def _refuse_shared_names(devices: Iterable[Device]) -> None:
    owners: dict[tuple[str, ...], tuple[Device, str]] = {}
    for device in devices:
        names = (
            ("id", device.id),
            ("name", device.name),
            *(("aliases", a) for a in device.aliases),
        )
        keyed = [(key, text, word_key(text)) for key, text in names]
        # The whole id too, because all of its words may be fillers.
        for key, text, words in (("id", device.id, (device.id,)), *keyed):
            owner, theirs = owners.setdefault(words, (device, text))
            if owner is not device:
                there = safe_text(owner.origin)
                there += f" as {safe_text(theirs)!r}" if theirs != text else ""
                why = f"the name {safe_text(text)!r} already belongs to {there}"
                hint = "ids, names and aliases must differ between devices"
                refuse_key(Path(device.origin), key, why, hint)


def filtered_devices(
    devices: Sequence[Device], *, kinds: Collection[str] = (), words: Iterable[str] = ()
) -> tuple[Device, ...]:
    """The devices of one of these kinds whose texts contain all of these words, any case."""
    kinds = tuple(map(_kind, kinds))
    wanted = tuple(word.casefold() for word in words)
    found = tuple(
        device
        for device in devices
        if (not kinds or device.kind in kinds) and all(word in _searched(device) for word in wanted)
    )
    if not found:
        asked = ", ".join([*kinds, *(repr(safe_text(word, 40)) for word in wanted)])
        raise DeviceError(
            "Cannot list devices",
            f"no device of {len(devices)} matches {asked}",
            "`feasibility devices list` shows all devices",
        )
    return found


def _kind(text: str) -> str:
    """The kind that a word means, singular or plural, any case."""
    known = get_args(Kind)
    word = text.strip().casefold()
    for kind in known:
        if word in (kind, f"{kind}s"):
            return str(kind)
    near = difflib.get_close_matches(word, known, n=1)
    raise UsageError(
        f"Cannot find the kind of device {safe_text(text, 40)!r}",
        f"the kinds are {', '.join(known)}",
        f"did you mean --kind {near[0]}?" if near else "repeat --kind for several kinds",
    )


def _searched(device: Device) -> str:
    """All texts of a device that words are compared with, in lower case."""
    texts = [device.id, device.name, device.os, device.isa, *device.aliases, *device.runtimes]
    if device.cpu is not None:
        texts += [device.cpu.soc, *(cluster.core for cluster in device.cpu.clusters)]
        texts += device.cpu.features
    texts += [unit.name for unit in (device.gpu, device.npu) if unit is not None]
    return "\n".join(texts).casefold()
