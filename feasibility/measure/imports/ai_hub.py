"""A perf.yaml of Qualcomm's AI Hub models: hosted phones and boards, mostly on the NPU.

Source: the perf.yaml files of ai-hub-models with `precisions` at their top. A file holds many
devices and runtimes; one of them is chosen by the words after a `#` behind its path.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from feasibility.measure.imports.figures import (
    MILLISECOND_NS,
    Figures,
    UnreadableError,
    part,
    text,
    whole,
)
from feasibility.records.profile import Latency
from feasibility.text import safe_text
from feasibility.units import MIB

_RUNTIMES: Final = {
    "onnx": "ONNX Runtime",
    "precompiled_qnn_onnx": "ONNX Runtime, compiled for QNN",
    "tflite": "LiteRT",
    "qnn_dlc": "QNN",
    "qnn_context_binary": "QNN",
}
_PASSED: Final = "passed"
_SHOWN: Final = 6


class _Entry(NamedTuple):
    precision: str
    component: str
    device: str
    runtime: str
    metrics: Mapping[str, Any]


def is_performance(document: object) -> bool:
    """Whether a YAML document is such a file."""
    return bool(part(document, "precisions"))


def read_performance(document: object, choice: str) -> Figures:
    """What the file says of one device and runtime.

    Args:
        document: The file.
        choice: Words that the entry's precision, component, device and runtime have to be
            among, divided by slashes; empty for the only device.

    Raises:
        UnreadableError: Nothing is chosen by these words, or more than one device.
    """
    entries = [entry for entry in _entries(document) if _is_chosen(entry, choice)]
    if not entries:
        raise UnreadableError(f"it has no figures of {safe_text(choice) or 'any device'}")
    devices = dict.fromkeys(entry.device for entry in entries)
    if len(devices) > 1:
        names = ", ".join(safe_text(name) for name in list(devices)[:_SHOWN])
        more = f" and {len(devices) - _SHOWN} more" if len(devices) > _SHOWN else ""
        raise UnreadableError(
            f"it has figures of {len(devices)} devices ({names}{more}); name one behind its path, "
            f"as in FILE#{safe_text(next(iter(devices)))}"
        )
    return _figures(min(entries, key=_preference))


def _entries(document: object) -> list[_Entry]:
    return [
        _Entry(precision, component, device, runtime, metrics)
        for precision, content in part(document, "precisions").items()
        for component, details in part(content, "components").items()
        for device, runtimes in part(details, "performance_metrics").items()
        for runtime, metrics in part(runtimes).items()
        if isinstance(metrics, dict)
        and text(metrics.get("job_status")).lower() in ("", _PASSED)
        and whole(metrics.get("inference_time_milliseconds")) is not None
    ]


def _is_chosen(entry: _Entry, choice: str) -> bool:
    own = {word.casefold() for word in entry[:4]}
    return all(word.strip().casefold() in own for word in choice.split("/") if word.strip())


def _preference(entry: _Entry) -> tuple[bool, bool]:
    """ONNX Runtime and unquantised weights before others."""
    return "onnx" not in entry.runtime, entry.precision != "float"


def _figures(entry: _Entry) -> Figures:
    median = whole(entry.metrics.get("inference_time_milliseconds"), MILLISECOND_NS)
    assert median is not None
    memory = part(entry.metrics, "estimated_peak_memory_range_mb")
    unit = text(entry.metrics.get("primary_compute_unit")) or "unknown"
    versions = part(entry.metrics, "tool_versions")
    version = text(versions.get("onnx_runtime")) or text(versions.get("tflite"))
    return Figures(
        tool="Qualcomm AI Hub",
        model_name=entry.component,
        device=entry.device,
        cpu=entry.device,
        arch="aarch64",
        runtime=f"{_RUNTIMES.get(entry.runtime, entry.runtime)} {version}".strip(),
        provider=f"{unit} ({entry.precision})",
        latency=Latency(median_ns=median),
        process_peak_bytes=whole(memory.get("max"), MIB),
        caveats=(
            f"the model ran on the {unit}, in {entry.precision}",
            "memory is the upper end of an estimated range",
        ),
    )
