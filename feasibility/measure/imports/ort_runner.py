"""How are reports of ort_runner read? It measures on Android phones and Linux boards.

Source: its report of schema version 1, whose `documentation` describes every field.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import Any, Final

from feasibility.measure.imports.imported_figures import (
    UnreadableError,
    imported_profile,
    mappings,
    part,
    samples,
    text,
    whole,
)
from feasibility.measure.latency_percentiles import latency_summary
from feasibility.measure.measure_options import PROVIDERS
from feasibility.records.profile import Latency, Memory, Profile
from feasibility.records.shared_fields import ISA_ALIASES
from feasibility.units import MILLISECOND_NS

_SCHEMA_VERSION: Final = 1
# Providers that allocate in the process, so that the kernel's figures include their memory.
_IN_PROCESS: Final = frozenset({"cpu", "xnnpack"})


def read_report(document: dict[str, Any]) -> Profile | None:
    """The figures of the report; None for any other document."""
    if "ort_runner_version" not in part(document, "system"):
        return None
    if document.get("schema_version") != _SCHEMA_VERSION:
        raise UnreadableError(f"its schema_version is not {_SCHEMA_VERSION}")
    system, config = part(document, "system"), part(document, "config")
    host, device = part(system, "host"), part(system, "device")
    names = [text(device.get(key)) for key in ("marketing_name", "model")]
    provider = text(config.get("provider"))
    arch = text(part(host, "cpu").get("arch"))
    build = text(system.get("onnxruntime_build"))
    return imported_profile(
        tool=f"ort_runner {text(system.get('ort_runner_version'))}".strip(),
        model_name=PurePath(text(document.get("model_path"))).name,
        model_bytes=whole(part(document, "model").get("file_bytes")),
        device=next(filter(None, names), ""),
        cpu=text(part(host, "cpu").get("brand")) or text(device.get("soc")),
        arch=ISA_ALIASES.get(arch, arch),
        core_count=whole(part(host, "cpu").get("logical_cores")),
        memory_bytes=whole(host.get("total_memory_bytes")) or None,
        system=" ".join(filter(None, (text(host.get("os")), text(host.get("os_version"))))),
        runtime=build if build.startswith("ONNX Runtime") else f"ONNX Runtime {build}".strip(),
        provider=PROVIDERS.get(provider, provider),
        threads=whole(config.get("intra_op_threads")),
        warmup_count=whole(part(document, "bench_config").get("warmup")) or 0,
        measured_at=text(document.get("created_at")),
        latency=_latency(document),
        memory=_memory(part(document, "memory")),
        caveats=_caveats(document, provider),
    )


def _latency(document: dict[str, Any]) -> Latency:
    timings = part(document, "timings")
    measured = samples(timings.get("measured_ms"), MILLISECOND_NS)
    if not measured:
        raise UnreadableError("it has no timings.measured_ms")
    warmup = samples(timings.get("warmup_ms"), MILLISECOND_NS)
    load_ns = whole(document.get("load_ms"), MILLISECOND_NS)
    return latency_summary(measured, load_ns, warmup[0] if warmup else None)


def _memory(memory: Any) -> Memory | None:
    """Memory above the baseline; the peak covers loading and running together."""
    phases = {text(phase.get("phase")): phase for phase in mappings(memory.get("phases"))}
    base, loaded = phases.get("baseline", {}), phases.get("session_loaded", {})
    baseline, resident = whole(base.get("rss_bytes")), whole(loaded.get("rss_bytes"))
    peak = whole(memory.get("peak_rss_bytes"))
    if baseline is None or resident is None or peak is None:
        return None
    dirty = whole(part(memory, "weights").get("private_dirty_bytes"))
    above = max(0, resident - baseline)
    anonymous = above if dirty is None else min(dirty, above)
    return Memory(
        allocator="default",
        baseline_bytes=baseline,
        load_peak_bytes=max(above, peak - baseline),
        resident_bytes=above,
        resident_anonymous_bytes=anonymous,
        resident_file_bytes=above - anonymous,
    )


def _caveats(document: dict[str, Any], provider: str) -> tuple[str, ...]:
    found = ["the memory peak covers loading and running together"]
    if provider not in _IN_PROCESS:
        found.append(
            f"memory that {provider or 'the provider'} uses outside the process is missing"
        )
    if text(document.get("input_source")) == "synthesized":
        found.append("ort_runner generated the inputs")
    return tuple(found)
