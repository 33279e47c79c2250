"""Which devices have these words and are of this kind (`devices list`)?"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Sequence
from typing import get_args

from feasibility.errors import DeviceError, UsageError
from feasibility.records.device import Device, Kind
from feasibility.text import safe_text


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
