"""How much memory does this process use? From the kernel and the C library."""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
SAMPLING_PERIOD_S = 0.001
RECORDING_PERIOD_S = 0.002
MAX_RECORD_COUNT = 50_000


class Meter:
    """The highest resident memory of this process since `begin`."""

    def __init__(self, *, force_sampling: bool) -> None:
        self.source = "sampled" if force_sampling or not reset_high_water_mark() else "vmhwm"

    def begin(self) -> None:
        """Starts a phase; with frequent samples if the kernel's mark cannot be reset."""
        if self.source == "vmhwm":
            reset_high_water_mark()
            return
        import threading

        self.highest = 0
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()

    def watch(self) -> None:
        """Takes samples until `end`."""
        with open("/proc/self/statm") as file:
            while True:
                file.seek(0)
                self.highest = max(self.highest, int(file.read().split()[1]) * PAGE_BYTES)
                if self.stopping.wait(SAMPLING_PERIOD_S):
                    return

    def end(self) -> int:
        """Highest resident bytes since `begin`."""
        if self.source == "vmhwm":
            return read_status()["VmHWM"]
        self.stopping.set()
        self.thread.join()
        return max(self.highest, read_status()["VmRSS"])


def read_memory(*, emulated: bool) -> dict[str, int | None]:
    """Fields of a `MemoryReading` now."""
    figures = read_status()
    resident, file_backed = figures["VmRSS"], figures.get("RssFile")
    if file_backed is None:  # kernels without it there have it in statm
        with open("/proc/self/statm") as file:
            file_backed = int(file.read().split()[2]) * PAGE_BYTES
    memory: dict[str, int | None] = {
        "resident_bytes": resident,
        "anonymous_bytes": figures.get("RssAnon", resident - file_backed),
        "file_bytes": file_backed,
        "data_bytes": figures.get("VmData"),  # what RLIMIT_DATA counts
    }
    try:
        with open("/proc/self/smaps_rollup") as file:
            rollup = dict(split_line(line) for line in file if line.endswith("kB\n"))
    except OSError:
        rollup = {}
    memory["pss_bytes"] = rollup.get("Pss")
    memory["private_dirty_bytes"] = rollup.get("Private_Dirty")
    memory["emulator_bytes"] = read_emulator_bytes() if emulated else None
    return memory


def read_emulator_bytes() -> int:
    """Anonymous bytes of the emulator itself: its translated code and its tables.

    The kernel counts them outside the addresses that the guest knows. The emulator
    answers reads of /proc/self/maps itself, with the guest's addresses, but passes the
    path through the thread to the kernel.
    """
    with open("/proc/self/maps") as file:
        guest = [parse_range(line) for line in file]
    anonymous = position = 0
    counts = False
    with open("/proc/self/task/" + str(os.getpid()) + "/smaps") as file:
        for line in file:
            if "-" in line.split(" ", 1)[0]:
                begin, _ = parse_range(line)
                while position < len(guest) and guest[position][1] <= begin:
                    position += 1
                counts = position == len(guest) or begin < guest[position][0]
            elif counts and line.startswith("Anonymous:"):
                anonymous += split_line(line)[1]
    return anonymous


def parse_range(line: str) -> tuple[int, int]:
    """Begin and end of the mapping in a line of maps or smaps."""
    begin, end = line.split(" ", 1)[0].split("-")
    return int(begin, 16), int(end, 16)


def reset_high_water_mark() -> bool:
    """Whether the kernel reset VmHWM to the current size (`5` to clear_refs)."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        return False
    return True


def read_status() -> dict[str, int]:
    """The sizes of /proc/self/status in bytes."""
    with open("/proc/self/status") as file:
        return dict(split_line(line) for line in file if line.startswith(("Vm", "Rss")))


def split_line(line: str) -> tuple[str, int]:
    """Key and bytes of a line such as `VmRSS:  123 kB`."""
    key, value = line.split(":")
    return key, int(value.split()[0]) * 1024


class CLibrary:
    """The C library's figures of the heap; only glibc from 2.33 on has them."""

    def __init__(self) -> None:
        self.call: Any = None
        try:
            import ctypes

            names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
            fields = [(name, ctypes.c_size_t) for name in names.split()]
            call = ctypes.CDLL(None).mallinfo2
            call.restype = type("mallinfo2", (ctypes.Structure,), {"_fields_": fields})
            self.call = call
        except (ImportError, OSError, AttributeError):
            pass  # another C library

    def heap(self) -> dict[str, int] | None:
        """Fields of a `HeapReading`; None without `mallinfo2`."""
        if self.call is None:
            return None
        info = self.call()
        return {
            "in_use_bytes": info.uordblks + info.hblkhd,
            "retained_bytes": info.fordblks,
            "mapped_bytes": info.hblkhd,
        }


def take_survey(library: CLibrary) -> dict[str, Any]:
    """Fields of a `Survey`: all memory of this process, by mapping."""
    sizes: dict[str, int] = {}
    name = ""
    try:
        with open("/proc/self/smaps") as file:
            for line in file:
                if line.startswith("Rss:"):
                    sizes[name] = sizes.get(name, 0) + split_line(line)[1]
                elif not line[0].isupper():  # addresses, permissions, ..., the name
                    name = (*line.rstrip("\n").split(None, 5), "")[5]
    except OSError:
        sizes = {}
    return {"mappings_bytes": sizes, "heap": library.heap()}


class Recorder:
    """Resident and allocated memory over time, sampled by a thread."""

    def __init__(self) -> None:
        import array
        import threading

        self.library = CLibrary()
        self.columns = [array.array("q"), array.array("q"), array.array("q")]
        self.phases: list[tuple[str, int, int, int]] = []
        self.start_phase("import")
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()

    def start_phase(self, phase: str) -> None:
        """Starts a phase."""
        with open("/proc/self/statm") as file:
            self.phases.append((phase, *self.sample(file)))

    def sample(self, file: TextIO) -> tuple[int, int, int]:
        """One sample: the time, resident bytes, and bytes in use on the heap or -1."""
        file.seek(0)
        heap = self.library.heap()
        resident = int(file.read().split()[1]) * PAGE_BYTES
        return time.perf_counter_ns(), resident, heap["in_use_bytes"] if heap else -1

    def watch(self) -> None:
        """Takes samples until `stop`."""
        with open("/proc/self/statm") as file:
            while len(self.columns[0]) < MAX_RECORD_COUNT:
                for column, value in zip(self.columns, self.sample(file)):  # noqa: B905 - 3.9
                    column.append(value)
                if self.stopping.wait(RECORDING_PERIOD_S):
                    return

    def stop(self) -> dict[str, Any]:
        """Fields of a `Recording`."""
        self.start_phase("end")
        self.stopping.set()
        self.thread.join()
        names = ("times_ns", "resident_bytes", "allocated_bytes")
        samples = {name: column.tolist() for name, column in zip(names, self.columns)}  # noqa: B905 - 3.9
        return {"phases": self.phases, **samples}
