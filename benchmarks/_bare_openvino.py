"""An independent look at one model with OpenVINO: its own API, a bare loop, the kernel's counters.

Shares no code with the tool's child, on purpose. Takes one JSON request as its argument and
prints one JSON reply, both as `_bare.py` has them; there is no cgroup.
"""

import json
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any


def main() -> None:
    request = json.loads(sys.argv[1])
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    import numpy as np
    import openvino as ov

    before = status()
    reset_high_water_mark()
    model = ov.compile_model(
        request["model"],
        "CPU",
        {
            "INFERENCE_NUM_THREADS": 1,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
        },
    )
    runner = model.create_infer_request()
    loaded = status()
    feeds = {
        each["name"]: np.full(each["shape"], each["value"], dtype=each["dtype"])
        for each in request["inputs"]
    }
    reset_high_water_mark()
    loop(runner, feeds, request["warmup_ns"], least=0)
    samples = loop(runner, feeds, request["sampling_ns"], least=2)
    after = status()
    reply = {
        "load_peak_bytes": loaded["VmHWM"] - before["VmRSS"],
        "resident_bytes": loaded["VmRSS"] - before["VmRSS"],
        "resident_anonymous_bytes": loaded["RssAnon"] - before["RssAnon"],
        "inference_peak_bytes": after["VmHWM"] - before["VmRSS"],
        "inference_anonymous_bytes": after["RssAnon"] - before["RssAnon"],
        "median_ns": median(wall for wall, _ in samples),
        "processor_ns": median(processor for _, processor in samples),
    }
    sys.stdout.write(json.dumps(reply))


def loop(runner: Any, feeds: dict[str, Any], enough_ns: int, least: int) -> list[tuple[int, int]]:
    """Wall and processor time of runs, one after the other, until the time is up."""
    samples = []
    begun = time.perf_counter_ns()
    while len(samples) < least or time.perf_counter_ns() - begun < enough_ns:
        used, started = time.thread_time_ns(), time.perf_counter_ns()
        runner.infer(feeds)
        wall = time.perf_counter_ns() - started
        samples.append((wall, time.thread_time_ns() - used))
    return samples


def status() -> dict[str, int]:
    """VmRSS, VmHWM and RssAnon of this process, in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    pairs = (line.split() for line in lines if line.startswith(("VmRSS", "VmHWM", "RssAnon")))
    return {name.rstrip(":"): int(kib) * 1024 for name, kib, _ in pairs}


def reset_high_water_mark() -> None:
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


main()
