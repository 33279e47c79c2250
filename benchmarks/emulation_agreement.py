"""Does guest memory under emulation agree with a run that reads the emulator's mappings?

The run by hand has a guest program of its own, which stops after every phase, says which
addresses the guest has, and waits until it is told to go on: the sizes between phases are
those of just these addresses, read from outside while nothing moves. Peaks are seen by looking
as often as possible. Only the root is shared.

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

from feasibility.measure.measure_model import measure_model
from feasibility.records.workload import STEADY_ENVIRONMENT
from feasibility.runners.emulator.emulated_runner import EmulatedRunner
from feasibility.units import MIB

GUEST = """
import sys, numpy, onnxruntime
TYPES = {"tensor(float)": "float32", "tensor(int64)": "int64", "tensor(double)": "float64"}
SIZES = {"batch": 1, "batch_size": 1, "sequence": SEQUENCE}
def stop():
    ranges = [line.split()[0] for line in open("/proc/self/maps")]
    print(",".join(ranges), flush=True)
    sys.stdin.readline()
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
numpy.zeros(1 << 16).astype(numpy.float32)
stop()
session = onnxruntime.InferenceSession(sys.argv[1], options)
stop()
feeds = {
    item.name: numpy.ones(
        [size if isinstance(size, int) else SIZES.get(size, 1) for size in item.shape],
        TYPES[item.type],
    )
    for item in session.get_inputs()
}
for _ in range(2):
    session.run(None, feeds)
stop()
"""


@dataclass
class Mapping:
    """One mapping of a process; sizes in bytes."""

    begin: int
    permissions: str
    name: str
    resident: int = 0
    anonymous: int = 0


@dataclass
class Guest:
    """An emulator's process."""

    process_id: int
    peak: int = 0
    at_peak: list[Mapping] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    def look(self) -> None:
        """Notes the mappings with the highest sum of those that may be the guest's."""
        mappings = self.mappings()
        resident = sum(
            mapping.resident
            for mapping in mappings
            if mapping.permissions != "rwxp" and mapping.name != "[heap]"
        )
        if resident > self.peak:
            self.peak, self.at_peak = resident, mappings

    def outside(self, ranges: str) -> set[int]:
        """Begins of the mappings that lie in none of the ranges."""
        ends = [tuple(int(end, 16) for end in part.split("-")) for part in ranges.split(",")]
        return {
            mapping.begin
            for mapping in self.mappings()
            if not any(begin <= mapping.begin < end for begin, end in ends)
        }

    def mappings(self) -> list[Mapping]:
        """All mappings of the process."""
        found: list[Mapping] = []
        with Path(f"/proc/{self.process_id}/smaps").open() as file:
            for line in file:
                words = line.split()
                if "-" in words[0]:
                    begin = int(words[0].partition("-")[0], 16)
                    name = words[5] if len(words) > 5 else ""
                    found.append(Mapping(begin, words[1], name))
                elif words[0] == "Rss:":
                    found[-1].resident = int(words[1]) * 1024
                elif words[0] == "Anonymous:":
                    found[-1].anonymous = int(words[1]) * 1024
        return found

    def watch(self) -> None:
        """Looks until told to stop."""
        while not self.stopping.wait(0.001):
            try:
                self.look()
            except OSError:
                return


def by_hand(path: Path, sequence: int) -> dict[str, int]:
    """Figures in bytes above the baseline."""
    machine = EmulatedRunner()
    with machine.connect(tuple) as session, tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "guest.py"
        script.write_text(f"SEQUENCE = {sequence}\n{GUEST}")
        command = session.command(STEADY_ENVIRONMENT)
        process = subprocess.Popen(
            [*command.argv[:-1], str(script), str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=command.environment,
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
            ranges = process.stdout.readline()
            guest.stopping.set()
            watcher.join()
            emulator = guest.outside(ranges)
            guests = [item for item in guest.mappings() if item.begin not in emulator]
            anonymous = sum(item.anonymous for item in guests)
            if phase == "base":
                base, base_anonymous = sum(item.resident for item in guests), anonymous
            else:
                peak = sum(item.resident for item in guest.at_peak if item.begin not in emulator)
                figures[f"{phase} peak"] = peak - base
                figures[f"{phase} anonymous"] = anonymous - base_anonymous
            process.stdin.write("\n")
            process.stdin.flush()
        process.wait()
    return figures


def main(paths: list[str]) -> None:
    """Prints one row per figure."""
    for path in map(Path, paths):
        started = time.monotonic()
        profile = measure_model(path, runner=EmulatedRunner())
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
