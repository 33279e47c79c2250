"""The devices that somebody wants to see."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Sequence
from typing import get_args

from feasibility.errors import DeviceError, UsageError
from feasibility.records.device import Device, Kind
from feasibility.text import safe_text


def refuse_shared_id(device: Device, others: Iterable[Device]) -> None:
    """Refuse a device whose id is that of another file's.

    Raises:
        DeviceError: Two files have one id.
    """
    for other in others:
        if other.id == device.id and other.origin != device.origin:
            raise DeviceError(
                f"Cannot tell two devices apart: both are {device.id!r}",
                f"{safe_text(other.origin)} and {safe_text(device.origin)} have the same id",
                "give one of them another id",
            )


def selected(
    devices: Sequence[Device], *, kinds: Collection[str] = (), words: Iterable[str] = ()
) -> tuple[Device, ...]:
    """The devices of one of these kinds with all of these words, in their order.

    Args:
        devices: What there is.
        kinds: Kinds that are wanted; empty for all.
        words: Texts that have to occur, in whatever case.

    Raises:
        UsageError: There is no such kind.
        DeviceError: There is no such device.
    """
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
            f"none of the {len(devices)} is {asked}",
            "`feasibility devices list` shows all of them",
        )
    return found


def _kind(text: str) -> str:
    """The kind that a word means, in whatever case and number."""
    known = get_args(Kind)
    word = text.strip().casefold()
    for kind in known:
        if word in (kind, f"{kind}s"):
            return str(kind)
    near = difflib.get_close_matches(word, known, n=1)
    raise UsageError(
        f"There is no kind of device {safe_text(text, 40)!r}",
        f"the kinds are {', '.join(known)}",
        f"did you mean --kind {near[0]}?" if near else "repeat --kind to see more than one kind",
    )


def _searched(device: Device) -> str:
    """Everything a device may be looked for by, in one case."""
    texts = [device.id, device.name, device.os, device.isa, *device.aliases, *device.runtimes]
    if device.cpu is not None:
        texts += [device.cpu.soc, *(cluster.core for cluster in device.cpu.clusters)]
        texts += device.cpu.features
    texts += [unit.name for unit in (device.gpu, device.npu) if unit is not None]
    return "\n".join(texts).casefold()
