"""An independent look at one model: a bare session, a bare loop, the kernel's own counters.

Shares no code with the tool's child, on purpose. Takes one JSON request as its argument
and prints one JSON reply. Where the request names a cgroup, it moves into it before it
imports anything, and reads that cgroup's peaks too.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any


def main() -> None:
    request = json.loads(sys.argv[1])
    group = Group(request["cgroup"]) if request.get("cgroup") else None
    import numpy as np
    import onnxruntime

    baseline, group_baseline = status()["VmRSS"], group and group.restart()
    reset_high_water_mark()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        request["model"], options, providers=["CPUExecutionProvider"]
    )
    reply = {
        "load_peak_bytes": status()["VmHWM"] - baseline,
        "resident_bytes": status()["VmRSS"] - baseline,
        "load_group_bytes": group and group.peak() - group_baseline,
    }
    feeds = {
        each["name"]: np.full(each["shape"], each["value"], dtype=each["dtype"])
        for each in request["inputs"]
    }
    if group:
        group.restart()
    reset_high_water_mark()
    loop(session, feeds, request["warmup_ns"], least=0)
    samples = sorted(loop(session, feeds, request["sampling_ns"], least=2))
    reply |= {
        "inference_peak_bytes": status()["VmHWM"] - baseline,
        "inference_group_bytes": group and group.peak() - group_baseline,
        "median_ns": samples[(len(samples) - 1) // 2],
    }
    sys.stdout.write(json.dumps(reply))


def loop(session: Any, feeds: dict[str, Any], enough_ns: int, least: int) -> list[int]:
    """Durations of runs, one after the other, until the time is up."""
    samples = []
    begun = time.perf_counter_ns()
    while len(samples) < least or time.perf_counter_ns() - begun < enough_ns:
        started = time.perf_counter_ns()
        session.run(None, feeds)
        samples.append(time.perf_counter_ns() - started)
    return samples


def status() -> dict[str, int]:
    """VmRSS and VmHWM of this process, in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    pairs = (line.split() for line in lines if line.startswith(("VmRSS", "VmHWM")))
    return {name.rstrip(":"): int(kib) * 1024 for name, kib, _ in pairs}


def reset_high_water_mark() -> None:
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


class Group:
    """The memory controller of the cgroup that this process has moved into."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        is_v1 = (self.folder / "memory.max_usage_in_bytes").exists()
        self.current = self.folder / ("memory.usage_in_bytes" if is_v1 else "memory.current")
        # Kept open: version 2 resets its peak for one open file only.
        mark = self.folder / ("memory.max_usage_in_bytes" if is_v1 else "memory.peak")
        self.mark = os.open(mark, os.O_RDWR)
        (self.folder / "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")

    def restart(self) -> int:
        """Bytes charged now, from which the peak starts again."""
        os.write(self.mark, b"0")
        return int(self.current.read_text(encoding="ascii"))

    def peak(self) -> int:
        """Most bytes charged since `restart`."""
        return int(os.pread(self.mark, 32, 0))


main()
