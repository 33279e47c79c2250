"""The script that runs in the child process: load the model, run it, tell what it cost.

It stands alone: it imports nothing of the package, and before its baseline is
read nothing but the standard library, numpy and onnxruntime, because whatever
it imports is memory that the model would be blamed for. It is started by
`feasibility.probe.launch` as a file, on this machine or on another one.

Protocol: one JSON line on standard input is the request, and standard input
then stays open for as long as the parent lives. Every reply is one JSON line on
what was standard output at the start; whatever the libraries print goes to
standard error. Events come as they happen, so that a child that is killed in
one phase has already delivered the phases before it:

    ready    versions and baseline
    loaded   memory and time of creating the session
    first    time of the first run
    course   memory over time, where it was asked for
    done     latency samples and memory of the runs
    failed   phase, type and text of the error; the last line

This file must run on Python 3.9 or newer with any onnxruntime since 1.16: the
machine that is meant may be older than the one that asks.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing itself is not imported for annotations that nothing evaluates
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any, TextIO

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
CHUNK_ELEMENTS = 1 << 13
SAMPLING_PERIOD_S = 0.001
RECORDING_PERIOD_S = 0.002
MAX_RECORD_COUNT = 50_000
REPLY: TextIO


class Failed(Exception):  # noqa: N818 - it names an event of the protocol
    """Ends the child with a `failed` event."""

    def __init__(self, phase: str, error_type: str, message: str, **detail: Any) -> None:
        super().__init__(message)
        self.event = dict(detail, phase=phase, error_type=error_type, message=message)


class Job:
    """The request and the phase that its work is in."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.request = request
        self.phase = "import"


def main() -> None:
    """Answers one request, then exits; with code 0 also after a `failed` event."""
    take_over_streams()
    job = Job(json.loads(sys.stdin.readline()))
    die_with_parent()
    limit_process(job.request)
    try:
        if job.request["action"] == "describe":
            describe(job)
        else:
            measure(job)
    except Failed as failure:
        send("failed", **failure.event)
    except Exception as error:
        send("failed", phase=job.phase, error_type=type(error).__name__, message=str(error))
    # Destroying the session can crash, and nothing of it is wanted any more.
    sys.stderr.flush()
    os._exit(0)


def take_over_streams() -> None:
    """Keeps the original standard output for replies and sends all chatter to standard error."""
    global REPLY  # noqa: PLW0603 - one reply channel per process
    REPLY = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8", errors="backslashreplace")
    os.dup2(2, 1)


def send(event: str, **fields: object) -> None:
    """Writes one event as one line."""
    REPLY.write(json.dumps(dict(fields, event=event)) + "\n")
    REPLY.flush()


def die_with_parent() -> None:
    """Makes the kernel end this process when the other end of standard input closes.

    The parent keeps that end open without writing to it. When it goes away, even
    by `kill -9`, the pipe hangs up, and the kernel sends SIGIO, whose default
    action is to terminate. No thread is needed and no lock can delay it.
    """
    try:
        import fcntl
        import select

        fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
        flags = fcntl.fcntl(0, fcntl.F_GETFL)
        fcntl.fcntl(0, fcntl.F_SETFL, flags | os.O_ASYNC)
        poller = select.poll()
        poller.register(0, select.POLLIN)
        if poller.poll(0):  # hung up before the flag was set
            os._exit(1)
    except (ImportError, OSError, AttributeError):
        return  # not a pipe or not Linux: the parent's own clean-up has to do


def limit_process(request: dict[str, Any]) -> None:
    """Sets the memory ceiling, forbids core dumps, and volunteers for the kernel's killer."""
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        ceiling = request.get("ceiling_bytes")
        if ceiling:
            # Counts private writable memory only, so that a large read-only file mapping passes.
            resource.setrlimit(resource.RLIMIT_DATA, (ceiling, ceiling))
    except (ImportError, OSError, ValueError):
        pass  # the parent watches the resident memory as well
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")
    except OSError:
        pass


def describe(job: Job) -> None:
    """Tells the inputs and outputs that the runtime sees; for formats only it can read."""
    import onnxruntime

    job.phase = "load"
    session = create_session(onnxruntime, job.request)
    send(
        "described",
        inputs=[[arg.name, arg.type, list(arg.shape)] for arg in session.get_inputs()],
        outputs=[[arg.name, arg.type, list(arg.shape)] for arg in session.get_outputs()],
    )


def measure(job: Job) -> None:
    """Runs all phases and sends an event after each."""
    request = job.request
    emulated = request.get("emulated", False)
    recorder = Recorder() if request.get("record") else None
    import numpy
    import onnxruntime

    memray: ModuleType | None = None
    if request["instrument"] == "memray":
        memray = importlib.import_module("memray")
    # numpy's code for making inputs is touched now, or the model would be blamed for it.
    make_elements(numpy, {"kind": "uniform", "low": 0.0, "high": 1.0}, 0, CHUNK_ELEMENTS, 0)
    ballast = disturb_heap() if request.get("disturb_heap") else None
    meter = Meter(force_sampling=request.get("force_sampling", False))
    surveyor = Surveyor() if request.get("survey") else None
    # Surveying costs memory: that of the first time is in the baseline, later ones find it there.
    survey = surveyor.look() if surveyor else None
    send(
        "ready",
        versions=library_versions(onnxruntime, numpy),
        modules=sorted(name for name in sys.modules if "." not in name),
        baseline=read_memory(emulated=emulated),
        peak_source=meter.source,
        survey=survey,
    )

    job.phase = "load"
    log_to(request.get("log_path"))
    if recorder:
        recorder.mark("load")
    with Capture(memray, request, "load"):
        meter.begin()
        started = time.perf_counter_ns()
        session = create_session(onnxruntime, request)
        load_ns = time.perf_counter_ns() - started
        peak = meter.end()
    memory = read_memory(emulated=emulated)
    survey = surveyor.look() if surveyor else None
    send("loaded", load_ns=load_ns, peak=peak, memory=memory, survey=survey)

    with Capture(memray, request, "inference"):
        job.phase = "inputs"
        if recorder:
            recorder.mark("inputs")
        feeds = make_feeds(numpy, onnxruntime, request)
        job.phase = "run"
        run = bind_run(session, feeds)
        meter.begin()
        latency = time_runs(run, request["schedule"], recorder)
        peak = meter.end()
    memory = read_memory(emulated=emulated)
    survey = surveyor.look() if surveyor else None
    del ballast
    if recorder:
        send("course", **recorder.stop())
    profile_path = session.end_profiling() if request.get("profile_prefix") else None
    send("done", peak=peak, memory=memory, survey=survey, profile_path=profile_path, **latency)


def disturb_heap() -> list[bytes]:
    """Blocks of random number and size, to be held while the model is measured.

    How much freed memory glibc keeps depends on what else lies on the heap. Children that
    are alike to the byte show only some of the amounts that an application would meet.
    """
    return [bytes(int.from_bytes(os.urandom(2), "little")) for _ in range(os.urandom(1)[0] % 64)]


def library_versions(onnxruntime: ModuleType, numpy: ModuleType) -> dict[str, str]:
    """Versions of everything that takes part in the figures."""
    import platform

    return {
        "python": platform.python_version(),
        "onnxruntime": onnxruntime.__version__,
        "numpy": numpy.__version__,
        "libc": " ".join(platform.libc_ver()).strip(),
        "arch": platform.machine(),
        "kernel": platform.system() + " " + platform.release(),
    }


def create_session(onnxruntime: ModuleType, request: dict[str, Any]) -> Any:
    """The session; a provider that cannot be had is an error, never a silent fall back."""
    provider = request["provider"]
    available = onnxruntime.get_available_providers()
    if provider not in available:
        raise Failed(
            "load",
            "ProviderUnavailable",
            provider + " is not part of this onnxruntime build",
            available_providers=available,
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = request["threads"]
    options.inter_op_num_threads = 1
    # Errors only, hundreds of warnings would be timed as loading; unless the log is wanted.
    options.log_severity_level = 1 if request.get("log_path") else 3
    options.enable_cpu_mem_arena = request.get("arena", True)
    for key, value in request.get("session_config", {}).items():
        options.add_session_config_entry(key, value)
    if request.get("profile_prefix"):
        options.enable_profiling = True
        options.profile_file_prefix = request["profile_prefix"]
    session = onnxruntime.InferenceSession(
        request["model_path"], options, providers=[provider], enable_fallback=False
    )
    if provider not in session.get_providers():
        raise Failed(
            "load",
            "ProviderUnavailable",
            provider + " is in this build but did not register; its library or its hardware "
            "is missing here",
            available_providers=session.get_providers(),
        )
    return session


def log_to(path: str | None) -> None:
    """Sends what the libraries print to a file from here on; None leaves it where it is."""
    if path is not None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(descriptor, 2)
        os.close(descriptor)


class Capture:
    """memray over one phase, or nothing at all where memray is None."""

    def __init__(self, memray: ModuleType | None, request: dict[str, Any], phase: str) -> None:
        self.tracker = None
        if memray is not None:
            path = request["capture_prefix"] + phase + ".bin"
            self.tracker = memray.Tracker(destination=memray.FileDestination(path, overwrite=True))

    def __enter__(self) -> None:
        if self.tracker is not None:
            self.tracker.__enter__()

    def __exit__(self, *exception: object) -> None:
        if self.tracker is not None:
            self.tracker.__exit__(*exception)


class Meter:
    """The highest resident memory of this process since `begin`."""

    def __init__(self, *, force_sampling: bool) -> None:
        self.source = "sampled" if force_sampling or not reset_high_water_mark() else "vmhwm"
        self.sampler: Sampler | None = None

    def begin(self) -> None:
        """Starts a phase."""
        if self.source == "vmhwm":
            reset_high_water_mark()
        else:
            self.sampler = Sampler()

    def end(self) -> int:
        """Highest resident bytes since `begin`."""
        if self.sampler is None:
            return read_status()["VmHWM"]
        return self.sampler.stop()


def read_memory(*, emulated: bool) -> dict[str, int | None]:
    """Resident bytes now, by kind, with the proportional and the private dirty size."""
    figures = read_status()
    resident, file_backed = figures["VmRSS"], figures.get("RssFile")
    if file_backed is None:  # kernels that do not split it there count it in statm
        with open("/proc/self/statm") as file:
            file_backed = int(file.read().split()[2]) * PAGE_BYTES
    memory: dict[str, int | None] = {
        "resident": resident,
        "anonymous": figures.get("RssAnon", resident - file_backed),
        "file": file_backed,
        "data": figures.get("VmData"),  # what RLIMIT_DATA counts
    }
    try:
        with open("/proc/self/smaps_rollup") as file:
            rollup = dict(split_line(line) for line in file if line.endswith("kB\n"))
    except OSError:
        rollup = {}
    memory["pss"] = rollup.get("Pss")
    memory["private_dirty"] = rollup.get("Private_Dirty")
    memory["translated"] = read_translated() if emulated else None
    return memory


def read_translated() -> int:
    """Resident bytes of the emulator's translated code: its one writable, executable mapping.

    The path goes through the thread, because QEMU answers reads of /proc/self/smaps itself.
    """
    resident = 0
    counts = False
    with open("/proc/self/task/" + str(os.getpid()) + "/smaps") as file:
        for line in file:
            if "-" in line.split(" ", 1)[0]:
                counts = line.split()[1] == "rwxp"
            elif counts and line.startswith("Rss:"):
                resident += split_line(line)[1]
    return resident


class CLibrary:
    """The C library's own account of the heap; glibc since 2.33 has one."""

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
            pass  # another C library: what it holds is not told

    def heap(self) -> dict[str, int] | None:
        """Bytes in use, bytes freed and kept, and how many of the used ones are mapped singly."""
        if self.call is None:
            return None
        info = self.call()
        used = info.uordblks + info.hblkhd
        return {"in_use": used, "kept": info.fordblks, "mapped": info.hblkhd}


class Surveyor:
    """Where the memory of this process is, by what it is mapped from."""

    def __init__(self) -> None:
        self.library = CLibrary()

    def look(self) -> dict[str, Any]:
        """Resident and private bytes by name of the mapping, and the state of the heap."""
        sizes: dict[str, list[int]] = {}
        entry = [0, 0]
        try:
            with open("/proc/self/smaps") as file:
                for line in file:
                    if line.startswith("Rss:"):
                        entry[0] += int(line.split()[1]) * 1024
                    elif line.startswith("Anonymous:"):
                        entry[1] += int(line.split()[1]) * 1024
                    elif not line[0].isupper():  # addresses, permissions, ..., the name
                        name = (*line.rstrip("\n").split(None, 5), "")[5]
                        entry = sizes.setdefault(name, [0, 0])
        except OSError:
            sizes = {}
        return {"mappings": sizes, "heap": self.library.heap()}


class Recorder:
    """Resident and allocated memory over time, looked at from a thread."""

    def __init__(self) -> None:
        import array
        import threading

        self.library = CLibrary()
        self.columns = [array.array("q"), array.array("q"), array.array("q")]
        self.marks: list[tuple[str, int, int, int]] = []
        self.mark("import")
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()

    def mark(self, phase: str) -> None:
        """Starts a phase."""
        with open("/proc/self/statm") as file:
            self.marks.append((phase, *self.look(file)))

    def look(self, file: TextIO) -> tuple[int, int, int]:
        """The time, resident bytes, and bytes in use on the heap or -1."""
        file.seek(0)
        heap = self.library.heap()
        resident = int(file.read().split()[1]) * PAGE_BYTES
        return time.perf_counter_ns(), resident, heap["in_use"] if heap else -1

    def watch(self) -> None:
        """Looks until told to stop."""
        with open("/proc/self/statm") as file:
            while len(self.columns[0]) < MAX_RECORD_COUNT:
                for column, value in zip(self.columns, self.look(file)):  # noqa: B905 - 3.9
                    column.append(value)
                if self.stopping.wait(RECORDING_PERIOD_S):
                    return

    def stop(self) -> dict[str, Any]:
        """What was seen: the phases with their beginnings, and the columns."""
        self.mark("end")
        self.stopping.set()
        self.thread.join()
        at, resident, allocated = (column.tolist() for column in self.columns)
        return {"marks": self.marks, "at": at, "resident": resident, "allocated": allocated}


class Sampler:
    """Highest resident memory by looking often, where the kernel's mark cannot be reset."""

    def __init__(self) -> None:
        import threading

        self.highest = 0
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()

    def watch(self) -> None:
        """Looks until told to stop."""
        with open("/proc/self/statm") as file:
            while True:
                file.seek(0)
                self.highest = max(self.highest, int(file.read().split()[1]) * PAGE_BYTES)
                if self.stopping.wait(SAMPLING_PERIOD_S):
                    return

    def stop(self) -> int:
        """Highest resident bytes that were seen."""
        self.stopping.set()
        self.thread.join()
        return max(self.highest, read_status()["VmRSS"])


def reset_high_water_mark() -> bool:
    """Whether the kernel let VmHWM fall back to the current size (`5` to clear_refs)."""
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


def time_runs(
    run: Callable[[], object], schedule: dict[str, Any], recorder: Recorder | None = None
) -> dict[str, Any]:
    """First run, warm-up until steady, then samples until the median is known well enough."""
    clock = time.perf_counter_ns
    started = clock()
    enough, deadline = started + schedule["enough_ns"], started + schedule["time_limit_ns"]

    def once() -> int:
        begun = clock()
        run()
        return clock() - begun

    if recorder:
        recorder.mark("first-run")
    first_ns = once()
    if recorder:
        recorder.mark("runs")
    send("first", first_run_ns=first_ns)
    warmup_count = warm_up(once, schedule, enough)
    samples: list[int] = []
    least, most = schedule["run_count_min"], schedule["run_count_max"]
    while len(samples) < most:
        samples.append(once())
        count, now = len(samples), clock()
        if now > deadline or (count >= least and now > enough):
            break
        # Checked at every fifth sample: sorting is not free between runs.
        if count >= least and count % 5 == 0 and is_settled(samples, schedule["precision_ratio"]):
            break
    return {"first_run_ns": first_ns, "warmup_count": warmup_count, "samples_ns": samples}


def warm_up(once: Callable[[], int], schedule: dict[str, Any], enough: int) -> int:
    """Number of runs until three in a row were not 2 % faster than the best before them."""
    fixed: int | None = schedule.get("warmup_count")
    if fixed is not None:
        for _ in range(fixed):
            once()
        return fixed
    best: float = math.inf
    count = without_gain = 0
    settled_ns = time.perf_counter_ns() + schedule["warmup_time_ns"]
    while count < schedule["warmup_count_max"]:
        duration = once()
        count += 1
        without_gain = without_gain + 1 if duration > 0.98 * best else 0
        best = min(best, duration)
        now = time.perf_counter_ns()
        # Very short runs also have to wait for the processor to reach its clock.
        if (without_gain >= 3 and now > settled_ns) or now > enough:
            break
    return count


def is_settled(samples: list[int], precision_ratio: float) -> bool:
    """Whether the 95 % interval of the median is narrower than the ratio on both sides."""
    ordered = sorted(samples)
    low, high = median_interval_indices(len(ordered))
    median = ordered[(len(ordered) - 1) // 2]
    reach = precision_ratio * median
    return ordered[high] - median <= reach and median - ordered[low] <= reach


def median_interval_indices(count: int) -> tuple[int, int]:
    """Indices into sorted samples that enclose the median with 95 % confidence.

    Source: order statistics, normal approximation of the binomial; Conover,
    Practical Nonparametric Statistics, section 3.2.
    """
    reach = 1.96 * math.sqrt(count) / 2
    low = max(0, math.floor(count / 2 - reach) - 1)
    high = min(count - 1, math.ceil(count / 2 + reach))
    return low, high


def bind_run(session: Any, feeds: dict[str, Any]) -> Callable[[], object]:
    """A call without arguments that runs the model once and drops its outputs."""
    if any(type(value).__name__ == "OrtValue" for value in feeds.values()):
        names = [output.name for output in session.get_outputs()]
        return lambda: session.run_with_ort_values(names, feeds)
    return lambda: session.run(None, feeds)


def make_feeds(
    numpy: ModuleType, onnxruntime: ModuleType, request: dict[str, Any]
) -> dict[str, Any]:
    """All inputs by name, made or read as the request says."""
    feeds = {}
    for position, spec in enumerate(request["inputs"]):
        try:
            value = make_value(numpy, spec, request["seed"] + position)
        except (OSError, ValueError, KeyError) as error:
            raise Failed(
                "inputs", type(error).__name__, str(error), input_name=spec["name"]
            ) from error
        feeds[spec["name"]] = value
    if any(needs_ort_value(spec) for spec in request["inputs"]):
        for spec in request["inputs"]:
            feeds[spec["name"]] = as_ort_value(onnxruntime, spec, feeds[spec["name"]])
    return feeds


# Element types that numpy has no word for, with the storage that onnxruntime takes
# instead and the number of the type in ONNX's TensorProto.DataType.
FOREIGN_TYPES = {
    "bfloat16": ("uint16", 16),
    "float8_e4m3fn": ("uint8", 17),
    "float8_e4m3fnuz": ("uint8", 18),
    "float8_e5m2": ("uint8", 19),
    "float8_e5m2fnuz": ("uint8", 20),
}


def needs_ort_value(spec: dict[str, Any]) -> bool:
    """Whether the input's element type cannot be handed over as a numpy array."""
    return spec["kind"] == "tensor" and spec["dtype"] in FOREIGN_TYPES


def as_ort_value(onnxruntime: ModuleType, spec: dict[str, Any], value: Any) -> Any:
    """The value in the runtime's own wrapper."""
    if spec["dtype"] in FOREIGN_TYPES:
        number = FOREIGN_TYPES[spec["dtype"]][1]
        return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(value, number)
    return onnxruntime.OrtValue.ortvalue_from_numpy(value)


def make_value(numpy: ModuleType, spec: dict[str, Any], seed: int) -> Any:
    """One input value of whatever kind."""
    kind, fill = spec["kind"], spec["fill"]
    if kind == "optional" and fill["kind"] == "absent":
        return None
    if kind == "map":
        return make_map(spec)
    array = make_array(numpy, spec, seed)
    return [array] if kind == "sequence" or "seq(" in spec["type_text"] else array


def make_map(spec: dict[str, Any]) -> dict[Any, Any]:
    """A map with one entry; its key has the type that the model names."""
    key = "0" if "map(string" in spec["type_text"] else 0
    return {key: "0" if spec["dtype"] == "string" else spec["fill"]["low"]}


def make_array(numpy: ModuleType, spec: dict[str, Any], seed: int) -> Any:
    """A numpy array of the wanted type and shape."""
    fill, shape = spec["fill"], tuple(spec["shape"])
    if fill["kind"] == "file":
        return read_array(numpy, fill)
    dtype = spec["dtype"]
    if dtype == "string":
        return numpy.full(shape, "0", dtype=object)
    storage = FOREIGN_TYPES[dtype][0] if dtype in FOREIGN_TYPES else dtype
    array = numpy.empty(shape, dtype=storage)
    if dtype in FOREIGN_TYPES:
        array.fill(0)  # the bits of 0.0 in every one of these types
        return array
    flat = array.reshape(-1)
    for start in range(0, flat.size, CHUNK_ELEMENTS):
        part = flat[start : start + CHUNK_ELEMENTS]
        part[...] = make_elements(numpy, fill, start, part.size, seed)
    return array


def make_elements(
    numpy: ModuleType, fill: dict[str, Any], start: int, count: int, seed: int
) -> Any:
    """Elements number `start` and following: the same for the same seed on every machine.

    Hashing the index with integer arithmetic needs no random-number library,
    whose import would weigh several MiB, and no memory beyond one chunk.
    Source: the finaliser of MurmurHash3, 32 bits.
    """
    low, high = fill["low"], fill["high"]
    if fill["kind"] == "constant":
        return numpy.full(count, low)
    bits = numpy.arange(start, start + count, dtype=numpy.uint32)
    bits += numpy.uint32((seed * 0x9E3779B9 + 0x7F4A7C15) & 0xFFFFFFFF)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        bits ^= bits >> numpy.uint32(shift)
        bits *= numpy.uint32(factor)
    bits ^= bits >> numpy.uint32(16)
    if fill["kind"] == "integers":
        span = int(high) - int(low) + 1
        return int(low) + (bits.astype(numpy.int64) * span >> 32)
    unit = (bits >> numpy.uint32(8)).astype(numpy.float64) / (1 << 24)
    return low + unit * (high - low)


def read_array(numpy: ModuleType, fill: dict[str, Any]) -> Any:
    """The array of a .npy file or of one member of a .npz file; pickles are refused."""
    loaded = numpy.load(fill["path"], allow_pickle=False)
    if fill.get("member") is None:
        return loaded
    with loaded:
        return loaded[fill["member"]]


if __name__ == "__main__":
    main()
