"""Compares guest memory under emulation with a run that reads the emulator's mappings by hand.

The run by hand has a guest program of its own, which stops after every phase until it is told
to go on: the sizes between phases are read from outside while nothing moves, and peaks by
looking at the mappings as often as possible. Only the root is shared.

    python -m benchmarks.emulation_agreement MODEL...
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from feasibility.measure.run import measure_model
from feasibility.probe.runner import STEADY_ENVIRONMENT
from feasibility.probe.runners.emulator import EmulatedMachine
from feasibility.units import MIB

GUEST = """
import sys, numpy, onnxruntime
TYPES = {"tensor(float)": "float32", "tensor(int64)": "int64", "tensor(double)": "float64"}
SIZES = {"batch": 1, "batch_size": 1, "sequence": SEQUENCE}
def stop(word):
    print(word, flush=True)
    sys.stdin.readline()
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
numpy.zeros(1 << 16).astype(numpy.float32)
stop("base")
session = onnxruntime.InferenceSession(sys.argv[1], options)
stop("load")
feeds = {
    item.name: numpy.ones(
        [size if isinstance(size, int) else SIZES.get(size, 1) for size in item.shape],
        TYPES[item.type],
    )
    for item in session.get_inputs()
}
for _ in range(2):
    session.run(None, feeds)
stop("runs")
"""


@dataclass
class Guest:
    """Resident bytes of an emulator's process without its translated code."""

    process_id: int
    peak: int = 0
    anonymous: int = 0
    stopping: threading.Event = field(default_factory=threading.Event)

    def look(self) -> int:
        """Resident bytes now; also notes the anonymous part and the peak."""
        resident = anonymous = 0
        with Path(f"/proc/{self.process_id}/smaps").open() as file:
            for line in file:
                words = line.split()
                if "-" in words[0]:
                    counts = words[1] != "rwxp"
                elif counts and words[0] == "Rss:":
                    resident += int(words[1]) * 1024
                elif counts and words[0] == "Anonymous:":
                    anonymous += int(words[1]) * 1024
        self.peak, self.anonymous = max(self.peak, resident), anonymous
        return resident

    def watch(self) -> None:
        """Looks until told to stop."""
        while not self.stopping.wait(0.001):
            try:
                self.look()
            except OSError:
                return


def by_hand(path: Path, sequence: int) -> dict[str, int]:
    """Figures in bytes above the baseline."""
    machine = EmulatedMachine()
    with machine.reach(tuple) as place, tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "guest.py"
        script.write_text(f"SEQUENCE = {sequence}\n{GUEST}")
        *command, _ = place.runner.command(STEADY_ENVIRONMENT)
        process = subprocess.Popen(
            [*command, str(script), str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=place.runner.environment({}),
            text=True,
        )
        guest = Guest(process.pid)
        figures: dict[str, int] = {}
        assert process.stdin
        assert process.stdout
        base = base_anonymous = 0
        for phase in ("base", "load", "runs"):
            guest.peak, guest.stopping = 0, threading.Event()
            watcher = threading.Thread(target=guest.watch)
            watcher.start()
            process.stdout.readline()
            guest.stopping.set()
            watcher.join()
            resident = guest.look()
            if phase == "base":
                base, base_anonymous = resident, guest.anonymous
            else:
                figures[f"{phase} peak"] = guest.peak - base
                figures[f"{phase} anonymous"] = guest.anonymous - base_anonymous
            process.stdin.write("\n")
            process.stdin.flush()
        process.wait()
    return figures


def main(paths: list[str]) -> None:
    """Prints one row per figure."""
    for path in map(Path, paths):
        started = time.monotonic()
        profile = measure_model(path, machine=EmulatedMachine())
        memory = profile.memory
        assert memory is not None
        sequence = max((profile.workload.dims.get("sequence", 1), 1))
        hand = by_hand(path, sequence)
        tool = {
            "load peak": memory.load_peak_bytes,
            "load anonymous": memory.resident_anonymous_bytes,
            "runs peak": memory.inference_peak_bytes or 0,
            "runs anonymous": memory.inference_anonymous_bytes or 0,
        }
        print(f"{path.name} ({time.monotonic() - started:.0f} s, load {os.getloadavg()[0]:.1f})")
        for name, value in tool.items():
            difference = value - hand[name]
            within = abs(difference) <= max(0.05 * hand[name], 3 * MIB)
            print(
                f"  {name:15} {value / MIB:8.1f} {hand[name] / MIB:8.1f} MiB "
                f"{100 * difference / hand[name]:+5.1f} %  {'ok' if within else 'APART'}"
            )


if __name__ == "__main__":
    main(sys.argv[1:])
