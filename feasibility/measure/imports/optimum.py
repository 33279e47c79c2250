"""How are reports of optimum-benchmark read? Two formats: with and without facts of the host.

Source: optimum-benchmark's `Benchmark` and `BenchmarkReport`; its MB are 10^6 bytes.
"""

from __future__ import annotations

from typing import Any, Final

from feasibility.measure.imports.imported_figures import (
    UnreadableError,
    imported_profile,
    part,
    samples,
    text,
    whole,
)
from feasibility.measure.latency_percentiles import latency_summary
from feasibility.records.profile import Latency, Profile
from feasibility.units import SECOND_NS

_MB: Final = 10**6
_RUNS: Final = ("forward", "call", "prefill")
_LOADS: Final = ("load_model", "load")
_FIRSTS: Final = ("first_forward", "first_call", "first_prefill")


def read_report(document: object) -> Profile | None:
    """The figures of a report with or without its configuration; None for any other document."""
    report = part(document, "report") or part(document)
    if not any("latency" in part(report, name) for name in (*_RUNS, *_LOADS)):
        return None
    config = part(document, "config")
    environment, backend = part(config, "environment"), part(config, "backend")
    name = next((name for name in _RUNS if part(report, name, "latency")), None)
    if name is None:
        raise UnreadableError("it has no latency of forward, call or prefill")
    peaks = [
        whole(part(report, phase, "memory").get("max_ram"), _MB)
        for phase in (name, *_LOADS, *_FIRSTS)
    ]
    version = text(environment.get("optimum_benchmark_version"))
    runtime = " ".join(text(backend.get(key)) for key in ("name", "version"))
    return imported_profile(
        tool=f"optimum-benchmark {version}".strip(),
        model_name=text(backend.get("model")),
        cpu=text(environment.get("cpu")),
        arch=text(environment.get("machine")),
        core_count=whole(environment.get("cpu_count")),
        memory_bytes=whole(environment.get("cpu_ram_mb"), _MB),
        system=text(environment.get("platform")),
        python=text(environment.get("python_version")),
        runtime=runtime.strip(),
        provider=text(backend.get("provider")),
        threads=whole(backend.get("intra_op_num_threads")),
        warmup_count=whole(part(config, "scenario").get("warmup_runs")) or 0,
        latency=_latency(report, name),
        process_peak_bytes=max((peak for peak in peaks if peak is not None), default=None),
        caveats=(
            "memory is the sampled peak of the whole process, Python and its libraries included",
        ),
    )


def _latency(report: Any, name: str) -> Latency:
    measured = samples(part(report, name, "latency").get("values"), SECOND_NS)
    if not measured:
        raise UnreadableError(f"it has no {name}.latency.values")
    return latency_summary(measured, _first_value(report, _LOADS), _first_value(report, _FIRSTS))


def _first_value(report: Any, names: tuple[str, ...]) -> int | None:
    for name in names:
        found = samples(part(report, name, "latency").get("values"), SECOND_NS)
        if found:
            return found[0]
    return None
