"""How long does it take to project saved profiles onto the whole catalogue?

    python -m benchmarks.projection_time

The reference is the time to read the same profile from its file. The target of 50 ms is for an
idle machine; the ratio also holds on a busy one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks._common import alternate, median_ratio, print_table
from feasibility.catalogue.load_catalogue import load_catalogue
from feasibility.decide.recommendation import assess_model
from feasibility.json_documents import read_document
from feasibility.paths import devices_dir, profiles_dir
from feasibility.predict.projected_latency import project_latency
from feasibility.predict.projected_memory import project_memory
from feasibility.records.device import Device
from feasibility.records.profile import Profile

ROUND_COUNT = 25
TARGET_MS = 50
_MS_NS = 10**6


def main() -> None:
    """Print one row per profile of the zoo."""
    devices = load_catalogue(devices_dir())
    rows = [row(path, devices) for path in sorted((profiles_dir() / "zoo").glob("*.json"))]
    header = (f"{len(devices)} devices", "project, ms", "with verdicts, ms", "to reading it")
    print_table(header, rows)
    print(f"target: {TARGET_MS} ms to project")


def row(path: Path, devices: Sequence[Device]) -> tuple[str, str, str, str]:
    """Name of the profile, median times to project and to assess it, and a ratio."""
    profile = read_document(path, Profile)
    rounds = alternate(
        ROUND_COUNT,
        partial(timed_ns, partial(project, profile, devices)),
        partial(timed_ns, partial(assess_model, profile, devices)),
        partial(timed_ns, partial(read_document, path, Profile)),
    )
    projecting, judging, _ = (median(times) / _MS_NS for times in zip(*rounds, strict=True))
    ratio = median_ratio([(projected, read) for projected, _, read in rounds])
    return path.stem, f"{projecting:.1f}", f"{judging:.1f}", f"{ratio:.2f}"


def project(profile: Profile, devices: Sequence[Device]) -> None:
    """Memory and latency of the model on every device."""
    for device in devices:
        project_memory(profile, device)
        project_latency(profile, device)


def timed_ns(do: Callable[[], object]) -> int:
    """Wall time of one call."""
    begin = time.perf_counter_ns()
    do()
    return time.perf_counter_ns() - begin


if __name__ == "__main__":
    main()
