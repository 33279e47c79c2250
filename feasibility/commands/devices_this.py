"""What does `feasibility devices this` do? Measures this machine and writes its device file."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path
from typing import Final

from feasibility.catalogue.device_names import matching
from feasibility.catalogue.load_catalogue import load_catalogue
from feasibility.catalogue.read_device_file import is_id, parse_device
from feasibility.catalogue.write_device_file import device_text
from feasibility.commands.progress import progress_on
from feasibility.errors import UsageError
from feasibility.measure.measurement_warnings import busy_host
from feasibility.measure.this_machine.machine_facts import read_machine
from feasibility.measure.this_machine.measure_speed import Pace, measure_speed, thread_counts
from feasibility.paths import devices_dir, user_devices_dir
from feasibility.predict.this_device import device_of
from feasibility.records.device import Device, Kind
from feasibility.runners.host import ceiling_bytes
from feasibility.text import safe_text

_COMMENT: Final = """\
Written by `feasibility devices this`. docs/devices.md describes every key. You may edit
figures such as the free memory; [measured] holds for this machine only."""


def destination(output: Path | None, identifier: str) -> Path:
    """Path of the device file: in the user's device folder unless --output names another."""
    if output is not None:
        return output
    folder = user_devices_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"Cannot create the folder {safe_text(str(folder))}",
            error.strerror or str(error),
            "name a file with --output, or set XDG_DATA_HOME to a writable folder",
        ) from error
    return folder / f"{identifier}.toml"


def checked_id(identifier: str) -> str:
    """The id, if it is valid and does not mean a device of the catalogue."""
    what = f"Cannot write a device with the id {safe_text(identifier, 60)!r}"
    if not is_id(identifier):
        raise UsageError(
            what,
            "an id consists of lowercase letters, digits and underscores, such as office_server",
            "choose another --id",
        )
    taken = matching(identifier, load_catalogue(devices_dir()))
    if taken:
        names = " and ".join(device.id for device in taken)
        raise UsageError(what, f"the catalogue has {names} under this name", "choose another --id")
    return identifier


def measure_this_machine(
    identifier: str, name: str | None, kind: Kind | None, *, quiet: bool, pace: Pace | None = None
) -> Device:
    """This machine, described and measured as a device, by default in less than two minutes.

    Name and kind are those that the system reports unless they are given.
    """
    facts = read_machine()
    busy = busy_host(os.getloadavg()[0], facts.core_count)
    with progress_on("this machine", quiet=quiet) as progress:
        speed = measure_speed(
            thread_counts(facts.core_count),
            cache_bytes=facts.cache_bytes,
            free_bytes=min(ceiling_bytes(), facts.grant_bytes),
            pace=pace,
            progress=progress,
        )
    today = dt.datetime.now(dt.UTC).date().isoformat()
    return device_of(
        facts,
        speed,
        identifier=identifier,
        name=name,
        kind=kind,
        today=today,
        caveat="".join(f"; {notice.message}" for notice in busy),
    )


def device_file_text(device: Device) -> str:
    """The text of the device's file, read back once as a check."""
    assert device.memory is not None
    assert device.memory.bandwidth_bytes_per_s is not None
    keys = {
        device.memory.total_bytes.source: "system",
        device.memory.bandwidth_bytes_per_s.source: "measured",
    }
    text = device_text(device, keys, _COMMENT)
    parse_device(text, f"{device.id}.toml")
    return text
