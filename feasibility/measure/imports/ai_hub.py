"""How is perf.yaml of Qualcomm AI Hub read? Times on hosted phones and boards, mostly on NPUs.

A file holds many devices and runtimes. The words after a `#` behind its path choose one. There
are two layouts: `precisions` with milliseconds and MB, and the older `models` with microseconds
and bytes.

Source: the files of ai-hub-models, and its `QAIHMModelPerf`, which divides bytes by 2^20 for MB;
in the older files, `throughput` is 10^6 over `inference_time`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from feasibility.measure.imports.imported_figures import (
    UnreadableError,
    imported_profile,
    mappings,
    part,
    text,
    whole,
)
from feasibility.records.profile import Latency, Profile
from feasibility.text import limited, safe_text
from feasibility.units import MIB, MICROSECOND_NS, MILLISECOND_NS

_RUNTIMES: Final = {
    "onnx": "ONNX Runtime",
    "precompiled_qnn_onnx": "ONNX Runtime, compiled for QNN",
    "tflite": "LiteRT",
    "qnn_dlc": "QNN",
    "qnn_context_binary": "QNN",
    "qnn": "QNN",
}
# The names in older files.
_OLDER_RUNTIMES: Final = {
    "torchscript_onnx": "onnx",
    "torchscript_onnx_tflite": "tflite",
    "torchscript_onnx_qnn": "qnn",
}
_PREFERRED_RUNTIMES: Final = ("onnx", "precompiled_qnn_onnx")
_PREFERRED_PRECISIONS: Final = ("float", "fp16", "fp32")
# Both layouts contain this key.
_MARK: Final = "performance_metrics:"
_PASSED: Final = "passed"
_SHOWN: Final = 6


class _Entry(NamedTuple):
    precision: str
    component: str
    device: str
    runtime: str
    median_ns: int
    peak_bytes: int | None
    unit: str
    chipset: str = ""
    system: str = ""
    version: str = ""
    measured_at: str = ""


def read_performance(content: str, choice: str) -> Profile | None:
    """The figures of one device and runtime; None if the text is not such a file.

    `choice` names precision, component, device or runtime, separated by slashes; it may be empty
    for a file with one device.
    """
    document = _read_yaml(content) if _MARK in content else None
    is_performance = bool(part(document, "precisions")) or any(
        mappings(model.get("performance_metrics")) for model in _models(document)
    )
    if not is_performance:
        return None
    every = [*_entries(document), *_older_entries(document)]
    words = {word.strip().casefold() for word in choice.split("/") if word.strip()}
    entries = [entry for entry in every if words <= {name.casefold() for name in entry[:4]}]
    if not entries:
        found = (_listed(kind, every) for kind in ("device", "runtime", "precision", "component"))
        raise UnreadableError(
            f"it has no figures of {safe_text(choice) or 'any device'}",
            f"it has {', '.join(found)}" if every else "",
        )
    for kind in ("device", "component"):
        names = _names(kind, entries)
        if len(names) > 1:
            beside = f"{choice}/" if choice else ""
            raise UnreadableError(
                f"it has figures of {_listed(kind, entries)}",
                f"name one behind its path, as in FILE#{safe_text(beside + names[0])}",
            )
    return _figures(min(entries, key=_preference))


def _read_yaml(content: str) -> object:
    """The document as dicts, lists and texts; numbers stay texts, so no value is constructed."""
    try:
        import yaml
    except ImportError as error:
        raise UnreadableError(
            "reading YAML needs the package PyYAML, which is not installed",
            "pip install 'feasibility[yaml]'",
        ) from error
    # Not the loader in C: deep nesting overflows its stack and kills the process.
    loader = yaml.BaseLoader
    try:
        # A few aliases of aliases would stand for billions of entries.
        if "*" in content and any(
            isinstance(event, yaml.AliasEvent) for event in yaml.parse(content, loader)
        ):
            raise UnreadableError("its YAML has aliases (*NAME), which are not read")
        return yaml.load(content, loader)  # noqa: S506, the base loader constructs no objects
    except RecursionError as error:
        raise UnreadableError("its YAML is nested too deeply") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        raise UnreadableError(f"it is broken YAML{where}") from error


def _models(document: object) -> Iterable[Mapping[str, Any]]:
    return mappings(part(document).get("models"))


def _entries(document: object) -> Iterator[_Entry]:
    """Entries of the layout with `precisions`."""
    for precision, content in part(document, "precisions").items():
        for component, details in part(content, "components").items():
            for device, runtimes in part(details, "performance_metrics").items():
                for runtime, metrics in part(runtimes).items():
                    median = _median(metrics, "inference_time_milliseconds", MILLISECOND_NS)
                    if median is None:
                        continue
                    memory = part(metrics, "estimated_peak_memory_range_mb")
                    versions = part(metrics, "tool_versions")
                    yield _Entry(
                        precision,
                        component,
                        device,
                        runtime,
                        median,
                        _number(memory.get("max"), MIB),
                        text(metrics.get("primary_compute_unit")),
                        version=text(versions.get("onnx_runtime")) or text(versions.get("tflite")),
                    )


def _older_entries(document: object) -> Iterator[_Entry]:
    """Entries of the layout with `models`."""
    for model in _models(document):
        for measured in mappings(model.get("performance_metrics")):
            device = part(measured, "reference_device_info")
            for runtime, metrics in measured.items():
                median = _median(metrics, "inference_time", MICROSECOND_NS)
                if median is None:
                    continue
                yield _Entry(
                    text(metrics.get("precision")),
                    text(model.get("name")),
                    text(device.get("name")),
                    _OLDER_RUNTIMES.get(runtime, runtime),
                    median,
                    _number(part(metrics, "estimated_peak_memory_range").get("max")),
                    text(metrics.get("primary_compute_unit")),
                    text(device.get("chipset")),
                    f"{text(device.get('os_name'))} {text(device.get('os'))}".strip(),
                    measured_at=text(measured.get("timestamp")),
                )


def _median(metrics: object, key: str, factor: int) -> int | None:
    """The inference time of a job that passed."""
    if text(part(metrics).get("job_status")).lower() not in ("", _PASSED):
        return None
    return _number(part(metrics).get(key), factor)


def _number(value: object, factor: int = 1) -> int | None:
    """A number that is written as text, times a factor; None for any other text."""
    try:
        return whole(float(text(value)), factor)
    except ValueError:
        return None


def _names(kind: str, entries: Iterable[_Entry]) -> list[str]:
    return list(dict.fromkeys(getattr(entry, kind) for entry in entries))


def _listed(kind: str, entries: Iterable[_Entry]) -> str:
    """The number of devices, runtimes or parts of a model, and the first of them."""
    names = _names(kind, entries)
    shown = limited([*map(safe_text, names)], _SHOWN)
    return f"{len(names)} {kind}{'s' * (len(names) > 1)} ({shown})"


def _preference(entry: _Entry) -> tuple[int, int]:
    """ONNX Runtime and unquantised weights before others."""
    runtimes = (*_PREFERRED_RUNTIMES, entry.runtime)
    precisions = (*_PREFERRED_PRECISIONS, entry.precision)
    return runtimes.index(entry.runtime), precisions.index(entry.precision)


def _figures(entry: _Entry) -> Profile:
    unit = entry.unit or "unknown"
    return imported_profile(
        tool="Qualcomm AI Hub",
        model_name=entry.component,
        device=entry.device,
        cpu=entry.chipset or entry.device,
        arch="aarch64",
        system=entry.system,
        runtime=f"{_RUNTIMES.get(entry.runtime, entry.runtime)} {entry.version}".strip(),
        provider=f"{unit} ({entry.precision})",
        measured_at=entry.measured_at,
        latency=Latency(median_ns=entry.median_ns),
        process_peak_bytes=entry.peak_bytes,
        caveats=(
            f"the model ran on the {unit}, in {entry.precision}",
            "memory is the upper end of an estimated range",
        ),
    )
