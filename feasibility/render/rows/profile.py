"""A profile as rows: what the model is, what it needed, how long it took."""

from __future__ import annotations

from collections.abc import Sequence

from feasibility.records.profile import DefaultAllocator, Host, Latency, Memory, Profile
from feasibility.records.proof import Proof
from feasibility.records.workload import Workload
from feasibility.render.rows.rows import Row, Section, disk_text, limited, name_text, shape_text
from feasibility.units import (
    NOT_MEASURED,
    format_bytes,
    format_bytes_range,
    format_count,
    format_duration,
    format_factor,
)


def model_row(profile: Profile | Proof) -> Row:
    """What the model is: size on disk, parameters, work, inputs."""
    model = profile.model
    is_sized = model.file_bytes + model.external_bytes > 0
    parts = [disk_text(model.file_bytes, model.external_bytes) if is_sized else "size not known"]
    if model.parameter_count is not None:
        plural = "s" * (model.parameter_count != 1)
        parts.append(f"{format_count(model.parameter_count)} parameter{plural}")
    if model.flops is not None:
        per = " per loop iteration" if model.per_iteration else ""
        parts.append(f"{format_count(model.flops, 'FLOP')}{per}")
    if profile.workload.inputs:
        parts.append(_inputs_text([shape_text(item.shape) for item in profile.workload.inputs]))
    return Row("model", ", ".join(parts))


def _inputs_text(shapes: Sequence[str]) -> str:
    """`input 1x3x224x224`, `3 inputs 1x128` or `inputs 1x8, 1x4`."""
    if len(shapes) == 1:
        return f"input {shapes[0]}"
    if len(set(shapes)) == 1:
        return f"{len(shapes)} inputs {shapes[0]}"
    return f"inputs {limited(shapes, 3, 'inputs')}"


def host_row(profile: Profile) -> Row:
    """Where and under which conditions the figures were taken."""
    place = host_text(profile.host)
    how = "emulated" if profile.method == "emulated" else "measured"
    source = f", by {name_text(profile.source, 60)}" if profile.source else ""
    return Row(how, f"on {place}, {workload_text(profile.workload)}{source}")


def host_text(host: Host) -> str:
    """Processor and instruction set."""
    cpu, arch = name_text(host.device or host.cpu, 48), name_text(host.arch, 16)
    if not (cpu or arch):
        return "a machine that is not named"
    return f"{cpu} ({arch})" if cpu and arch and cpu != arch else cpu or arch


def workload_text(workload: Workload) -> str:
    """Runtime, provider and threads."""
    runtime = name_text(workload.runtime, 40).replace("onnxruntime", "ONNX Runtime")
    provider = name_text(workload.provider, 40).removesuffix("ExecutionProvider")
    count = workload.threads
    threads = f"{count} thread{'s' * (count != 1)}" if count else ""
    recipe = [] if workload.recipe == "as-is" else [name_text(workload.recipe)]
    return ", ".join(filter(None, (runtime, provider, threads, *recipe)))


def summary_rows(profile: Profile) -> tuple[Row, ...]:
    """Memory and time in words, for the first screen."""
    rows = []
    memory = profile.memory
    if memory is None and profile.process_peak_bytes is not None:
        peak = format_bytes(profile.process_peak_bytes)
        rows.append(Row("memory", f"{peak} at the peak of the whole process, runtime included"))
    elif memory is None:
        rows.append(Row("memory", NOT_MEASURED))
    else:
        rows.append(Row("memory", _need_text(memory)))
        rows.append(Row("", _context_text(memory, profile)))
        if profile.default_allocator is not None:
            rows.append(Row("", _default_text(profile.default_allocator)))
    rows.append(Row("time", _time_text(profile.latency)))
    return tuple(rows)


def _need_text(memory: Memory) -> str:
    text = f"{format_bytes(memory.load_peak_bytes)} to load"
    if memory.inference_peak_bytes is None:
        text += ", running not measured"
    else:
        text += f", {format_bytes(memory.inference_peak_bytes)} to run"
    if memory.floor_bytes is not None:
        text += f"; {format_bytes(memory.floor_bytes)} of it cannot be evicted"
    return text


def _context_text(memory: Memory, profile: Profile) -> str:
    peak = max(memory.load_peak_bytes, memory.inference_peak_bytes or 0)
    on_disk = profile.model.file_bytes + profile.model.external_bytes
    parts = [f"peak {format_factor(peak / on_disk)} the file"] if on_disk else []
    own = "Python and runtime" if _has_python(profile) else "the runtime"
    parts.append(f"{format_bytes(memory.baseline_bytes)} of {own} not included")
    if memory.peak_source == "sampled":
        parts.append("sampled, so a short peak may be missing")
    return "; ".join(parts)


def _has_python(profile: Profile) -> bool:
    """Whether the process was one of Python; other programs need not be."""
    return not profile.source or bool(profile.host.python)


def _default_text(default: DefaultAllocator) -> str:
    load = format_bytes_range(default.load_peak_low_bytes, default.load_peak_high_bytes)
    text = f"default allocator: {load} to load"
    low, high = default.inference_peak_low_bytes, default.inference_peak_high_bytes
    if low is not None and high is not None:
        text += f", {format_bytes_range(low, high)} to run"
    return text


def _time_text(latency: Latency | None) -> str:
    if latency is None:
        return NOT_MEASURED
    count = len(latency.samples_ns)
    further = {"first": latency.first_run_ns, "load": latency.load_ns}
    text = f"{format_duration(latency.median_ns)}, median" + (f" of {count}" if count else "")
    if latency.p95_ns is not None:
        text += f" (p95 {format_duration(latency.p95_ns)})"
    told = [f"{name} {format_duration(value)}" for name, value in further.items() if value]
    return f"{text}; {', '.join(told)}" if told else text


def memory_section(profile: Profile) -> Section:
    """Every memory figure with what it includes."""
    memory = profile.memory
    if memory is None and profile.process_peak_bytes is not None:
        peak = format_bytes(profile.process_peak_bytes)
        return Section("memory", (Row("peak", f"{peak}, of the whole process, runtime included"),))
    if memory is None:
        return Section("memory", (Row("", NOT_MEASURED),))
    rows = [
        Row("load peak", f"{format_bytes(memory.load_peak_bytes)}, highest while loading"),
        Row("after loading", _resident_text(memory)),
        _figure_row("inference peak", memory.inference_peak_bytes, ", highest over all runs"),
        _figure_row("floor", memory.floor_bytes, " cannot be evicted: below it, killed"),
        _figure_row(
            "comfort",
            memory.comfort_bytes,
            " with the file pages that runs touch: below it, slow",
        ),
    ]
    if profile.default_allocator is not None:
        rows.append(Row("by default", _default_range_text(profile.default_allocator)))
    baseline = format_bytes(memory.baseline_bytes)
    own = "Python and the runtime take" if _has_python(profile) else "the runtime takes"
    title = f"memory above the {baseline} that {own}"
    return Section(title, tuple(rows), remarks=(_memory_remark(memory),))


def _figure_row(label: str, size_bytes: int | None, words: str) -> Row:
    """A figure and what it is; without the words where there is none."""
    return Row(label, format_bytes(size_bytes) + (words if size_bytes is not None else ""))


def _memory_remark(memory: Memory) -> str:
    """How the figures were come by."""
    if memory.peak_source == "sampled":
        return "peaks are sampled: this kernel does not allow resetting its high-water mark"
    if memory.allocator == "default":
        return "the system's allocator as it comes, so another run may need more or less"
    return "kernel high-water marks; allocator's trim threshold fixed, so they repeat"


def _resident_text(memory: Memory) -> str:
    return (
        f"{format_bytes(memory.resident_bytes)}: "
        f"{format_bytes(memory.resident_anonymous_bytes)} anonymous, "
        f"{format_bytes(memory.resident_file_bytes)} backed by files"
    )


def _default_range_text(default: DefaultAllocator) -> str:
    load = format_bytes_range(default.load_peak_low_bytes, default.load_peak_high_bytes)
    resident = format_bytes_range(default.resident_low_bytes, default.resident_high_bytes)
    text = f"{load} to load, {resident} after"
    low, high = default.inference_peak_low_bytes, default.inference_peak_high_bytes
    if low is not None and high is not None:
        text += f", {format_bytes_range(low, high)} to run"
    return f"{text}; allocator untouched, {default.repeat_count} processes"


def _joined(*times: tuple[str, int | None], after: str = "") -> str:
    """The times that are known, each behind its words; empty where none is."""
    known = ", ".join(f"{words}{format_duration(ns)}" for words, ns in times if ns is not None)
    return f"{known}{after}" if known else ""


def time_section(latency: Latency | None) -> Section:
    """Every time with what it is."""
    if latency is None:
        return Section("time", (Row("", NOT_MEASURED),))
    count = len(latency.samples_ns)
    median = format_duration(latency.median_ns) + (f" of {count} runs" if count else "")
    if latency.median_low_ns is not None and latency.median_high_ns is not None:
        low, high = format_duration(latency.median_low_ns), format_duration(latency.median_high_ns)
        median += f", 95 % sure between {low} and {high}"
    told = {
        "mean": _joined(("", latency.mean_ns), ("standard deviation ", latency.stdev_ns)),
        "percentiles": "; ".join(
            filter(
                None,
                (
                    _joined(
                        ("p90 ", latency.p90_ns), ("p95 ", latency.p95_ns), ("p99 ", latency.p99_ns)
                    ),
                    _joined(("fastest ", latency.min_ns)),
                ),
            )
        ),
        "first run": _joined(("", latency.first_run_ns), after=", not among the runs"),
        "loading": _joined(("", latency.load_ns), after=", creating the session"),
    }
    # Figures of other programs may hold no more than the median.
    rows = (Row("median", median), *(Row(label, text) for label, text in told.items() if text))
    return Section("time of one inference", rows)
