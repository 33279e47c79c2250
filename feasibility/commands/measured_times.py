"""How are times measured on a device read, and saved as anchors in its file?"""

from __future__ import annotations

import datetime as dt
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from feasibility.catalogue.figures import LATENCY
from feasibility.catalogue.load_catalogue import find_device, known_devices
from feasibility.catalogue.read_device_file import parse_device
from feasibility.catalogue.write_device_file import with_anchors
from feasibility.commands.parse_check_options import parse_runtime
from feasibility.errors import DeviceError, UsageError
from feasibility.facts.read_model import inspect_model
from feasibility.json_documents import read_document
from feasibility.measure.profiled_model import profiled_model
from feasibility.paths import user_devices_dir
from feasibility.predict.projected_latency import anchor_of
from feasibility.records.device import Anchor, Device
from feasibility.records.profile import Profile, ProfiledModel
from feasibility.records.workload import PROJECTED_AS
from feasibility.runners.engines import usual_engine
from feasibility.text import safe_text
from feasibility.write_atomically import whole_file

_FILE_HINT = 'write for example: [rpi_5] and below it "model.onnx" = "23ms"'


class Measured(NamedTuple):
    """A model and its time on the device."""

    model: Path
    latency_ns: int


def parse_measured(text: str) -> Measured:
    """The model and time of a text such as `model.onnx=23ms`."""
    # The last equals sign divides, because file names may contain one.
    name, equals, time = text.rpartition("=")
    if not (name and equals and time):
        raise UsageError(
            f"Cannot read --measured {safe_text(text)!r}",
            "it must be a model, an equals sign and a time",
            "write for example --measured model.onnx=23ms",
        )
    return Measured(Path(name), _duration_ns(name, time))


def read_measured(path: Path) -> Mapping[str, tuple[Measured, ...]]:
    """Measurements by device id from a TOML file with one table per device."""
    what = f"Cannot read --measured {safe_text(str(path))}"
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(what, error.strerror or str(error), _FILE_HINT) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(what, f"it is not TOML: {safe_text(str(error))}", _FILE_HINT) from error
    found = {}
    for device, table in document.items():
        if not isinstance(table, dict) or not table:
            raise UsageError(what, f"{safe_text(device)} is not a table of models", _FILE_HINT)
        found[device] = tuple(
            # Paths of models are relative to the file.
            Measured(path.parent / name, _duration_ns(name, time, f" in {path}, [{device}]"))
            for name, time in table.items()
        )
    if not found:
        raise UsageError(what, "it has no table of a device", _FILE_HINT)
    return found


def with_measured(
    devices: Sequence[Device],
    path: Path,
    *,
    threads: int | None = None,
    runtime: str | None = None,
) -> tuple[Device, ...]:
    """The devices with the times of a file as anchors; times of other devices are ignored.

    Without a runtime, the usual one for the format of each model.
    """
    # A device given as a file replaces one of the catalogue with the same id.
    known = {device.id: device for device in (*known_devices(), *devices)}
    chosen = {device.id: device for device in devices}
    named: dict[str, str] = {}
    for name, times in read_measured(path).items():
        device = find_device(name, tuple(known.values()))
        if named.setdefault(device.id, name) != name:
            raise UsageError(
                f"Cannot read --measured {safe_text(str(path))}",
                f"[{safe_text(named[device.id])}] and [{safe_text(name)}] are the same device",
                "put its times into one table",
            )
        if device.id in chosen:
            chosen[device.id] = anchored_device(
                chosen[device.id], times, threads=threads, runtime=runtime
            )
    return tuple(chosen.values())


def anchored_device(
    device: Device, measured: Iterable[Measured], *, threads: int | None, runtime: str | None
) -> Device:
    """The device with these times among its anchors; they replace older ones.

    Without a number of threads, the one that projections assume; without a runtime, the usual one
    for the format of each model.
    """
    key = None if runtime is None else parse_runtime(runtime)
    new = [make_anchor(device, one, threads=threads, runtime=key) for one in measured]
    keys = {(anchor.model, anchor.threads, anchor.runtime) for anchor in new}
    kept = [a for a in device.anchors if (a.model, a.threads, a.runtime) not in keys]
    return msgspec.structs.replace(device, anchors=(*kept, *new))


def make_anchor(
    device: Device, measured: Measured, *, threads: int | None, runtime: str | None
) -> Anchor:
    """The anchor of a measurement."""
    model = _profiled(measured.model)
    runtime = runtime or PROJECTED_AS[usual_engine(model.format)]
    today = dt.datetime.now(dt.UTC).date().isoformat()
    anchor = anchor_of(
        model, device, measured.latency_ns, threads=threads, runtime=runtime, measured_on=today
    )
    if anchor is None:
        raise UsageError(
            f"Cannot use the time of {safe_text(str(measured.model))}",
            "the operations of this model are not known, so its time cannot correct other models",
            "give an .onnx file whose shapes are fixed, or a profile made with --dim",
        )
    return anchor


def save_anchors(device: Device) -> Path:
    """Write the device's anchors into the user's copy of its file; returns the path."""
    copy = user_devices_dir() / f"{device.id}.toml"
    try:
        text = with_anchors(Path(device.origin).read_text(encoding="utf-8"), device.anchors)
        parse_device(text, str(copy))
        with whole_file(copy) as file:
            file.write(text.encode())
    except OSError as error:
        raise DeviceError(
            f"Cannot write {safe_text(str(copy))}", error.strerror or str(error)
        ) from error
    return copy


def _profiled(path: Path) -> ProfiledModel:
    """The model of an .onnx file or of a saved profile."""
    if not path.is_file():
        raise UsageError(
            f"Cannot use the time of {safe_text(str(path))}",
            "this file does not exist; its operations are needed to use the time for other models",
            "give the .onnx file that was measured, or a saved profile of it",
        )
    if path.suffix.lower() == ".json":
        return read_document(path, Profile).model
    return profiled_model(inspect_model(path, hash_file=False))


def _duration_ns(name: str, time: object, where: str = "") -> int:
    """The time of a model."""
    what = f"Cannot read the time of {safe_text(name)}{safe_text(where, 200)}"
    if isinstance(time, dict):
        example = 'write the name in quotes: "model.onnx" = "23ms"'
        raise UsageError(what, "TOML reads a name with a dot as a table", example)
    try:
        return LATENCY.read(time)
    except ValueError as error:
        hint = "give the time of one inference, for example 23ms"
        raise UsageError(what, str(error), hint) from error
