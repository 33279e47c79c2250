"""What does a report say first? The model, the machine, memory and time in a few rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from feasibility.records.profile import Host, Latency, Memory, Profile
from feasibility.records.proof import Proof
from feasibility.records.workload import Workload
from feasibility.render.reports.sections import (
    Row,
    counted,
    disk_text,
    joined,
    name_text,
    shape_text,
)
from feasibility.text import limited
from feasibility.units import (
    MIB,
    NOT_MEASURED,
    format_bytes,
    format_count,
    format_duration,
    format_factor,
)

NOT_RUN_ROW: Final = Row("projected", "from the graph alone; nothing was run")
# A larger multiple of the file says nothing about the file.
_HIGHEST_MULTIPLE: Final = 100


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
    """The machine and the workload of the figures; nothing was run for projected ones."""
    if profile.method == "projected":
        return NOT_RUN_ROW
    place = host_text(profile.host)
    how = "emulated" if profile.method == "emulated" else "measured"
    source = f", by {name_text(profile.source, 60)}" if profile.source else ""
    return Row(how, f"on {place}, {workload_text(profile.workload)}{source}")


def host_text(host: Host) -> str:
    """Processor and instruction set."""
    cpu, arch = name_text(host.device or host.cpu, 48), name_text(host.arch, 16)
    if not (cpu or arch):
        return "an unnamed machine"
    return f"{cpu} ({arch})" if cpu and arch and cpu != arch else cpu or arch


def engine_text(workload: Workload) -> str:
    """Engine and version, the type in which it computes, and the way of several to use it."""
    runtime = name_text(workload.runtime, 60).replace("onnxruntime", "ONNX Runtime")
    precision = f" in {name_text(workload.precision, 20)}" if workload.precision else ""
    # The name tells several ways to use one engine apart.
    way = f" ({workload.engine})" if "-" in (workload.engine or "") else ""
    return f"{runtime}{precision}{way}"


def workload_text(workload: Workload) -> str:
    """Runtime, provider or precision, and threads."""
    runtime = engine_text(workload)
    provider = name_text(workload.provider, 40).removesuffix("ExecutionProvider")
    threads = counted(workload.threads, "thread") if workload.threads else ""
    recipe = "" if workload.recipe == "as-is" else name_text(workload.recipe)
    return ", ".join(filter(None, (runtime, provider, threads, recipe)))


def summary_rows(profile: Profile) -> tuple[Row, ...]:
    """Memory to reserve, peaks and time, for the first screen of `check`."""
    if profile.method == "projected":
        return (reserve_row(profile),)
    rows = [reserve_row(profile)]
    memory = profile.memory
    if memory is not None:
        on_disk = profile.model.file_bytes + profile.model.external_bytes
        text = f"{format_bytes(memory.load_peak_bytes)} to load"
        # Of a small file, the memory is that of the runtime, and a multiple says nothing.
        if on_disk >= max(MIB, memory.load_peak_bytes // _HIGHEST_MULTIPLE):
            text += f" ({format_factor(memory.load_peak_bytes / on_disk)} the file)"
        if memory.inference_peak_bytes is not None:
            text += f", {format_bytes(memory.inference_peak_bytes)} to run"
        if memory.floor_bytes is not None:
            text += f"; {format_bytes(memory.floor_bytes)} must stay in memory"
        rows.append(Row("", text))
    rows.append(Row("time", _time_text(profile.latency)))
    return tuple(rows)


def _modelled_row(profile: Profile) -> Row:
    """Modelled memory per instruction set, for a model that was not run."""
    texts = [
        f"{format_bytes(each.peak_bytes)} on {each.isa}" for each in profile.model.modelled_memory
    ]
    end = ", without the runtime"
    return Row("memory", f"modelled: {joined(texts)}{end}" if texts else NOT_MEASURED)


def reserve_row(profile: Profile) -> Row:
    """How much memory a process that runs the model needs."""
    memory = profile.memory
    if profile.method == "projected":
        return _modelled_row(profile)
    if memory is None:
        peak = profile.process_peak_bytes
        text = "" if peak is None else " at the peak of the whole process, runtime included"
        return Row("memory", format_bytes(peak) + text)
    measured = memory.peak_bytes
    default = profile.default_allocator
    if default is None:
        text = f"reserve {format_bytes(measured)}"
    else:
        most = max(default.load_peak_high_bytes, default.inference_peak_high_bytes or 0)
        text = f"reserve {format_bytes(most)} with the default allocator, "
        text += f"{format_bytes(measured)} with the steady allocator"
    return Row("memory", f"{text}; plus {baseline_text(memory, profile)}")


def baseline_text(memory: Memory, profile: Profile) -> str:
    """The baseline and what it holds: other programs than Python may have measured."""
    has_python = not profile.source or bool(profile.host.python)
    holder = "Python and the runtime" if has_python else "the runtime"
    return f"{format_bytes(memory.baseline_bytes)} for {holder}"


def _time_text(latency: Latency | None) -> str:
    if latency is None:
        return NOT_MEASURED
    count = len(latency.samples_ns)
    text = f"{format_duration(latency.median_ns)} median" + (f" of {count} runs" if count else "")
    if latency.p95_ns is not None:
        text += f" (p95 {format_duration(latency.p95_ns)})"
    further = {"first run": latency.first_run_ns, "loading": latency.load_ns}
    known = [f"{name} {format_duration(value)}" for name, value in further.items() if value]
    return "; ".join((text, *known))
