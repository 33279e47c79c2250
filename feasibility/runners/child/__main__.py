"""What does a model need? This program in the child process loads, runs and reports it.

It imports only the modules in this folder, not the package. Before it reads its
baseline, it imports only the standard library, numpy and one engine, because other
imports would count as memory of the model. `feasibility.runners.child_process` starts
this folder with a Python of the machine that is measured. The other modules in this
folder do not import each other.

An engine runs models. `engine_NAME.py` has these functions. Their first argument is the result
of `import_library` or of `create_session`:

    import_library     the engine's Python package
    library_versions   its name and version
    create_session     the loaded model
    precision          the type in which it computes; None if it is that of the model
    as_feeds           arrays as the engine takes them
    bind_run           a function that runs the model once and returns its outputs, in order;
                       a value that is no array may have a method `numpy`
    end_profile        path of the file with the time of each node
    convert            writes the model in another form; only of some engines

Protocol: the request is one line of JSON on standard input, which stays open as long
as the parent lives. Each event is one line of JSON on the original standard output;
the output of libraries goes to standard error. Events are sent at once, so a child
that is killed in one phase has already reported the phases before:

    ready    versions and baseline
    loaded   memory and time of creating the session
    first    time of the first run
    recording memory over time, if requested
    done     latency samples and memory of the runs
    timed    latency samples of one model of a series
    finished the series is over
    converted memory and time of a conversion
    failed   phase, type and text of the error; the last line

These files must run on Python 3.9 or newer with any onnxruntime since 1.16, because
the measured machine can be older than the one with this tool.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time

from child_inputs import UnusableInput, make_feeds, warm_up
from child_instruments import capture, disturb_heap, log_to, save_outputs
from child_memory import CLibrary, Meter, Recorder, read_memory, take_survey
from child_timing import time_runs

TYPE_CHECKING = False
if TYPE_CHECKING:  # without importing typing for annotations
    from types import ModuleType
    from typing import Any, TextIO

REPLY: TextIO


class Job:
    """The request and the current phase."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.request = request
        self.phase = "import"


def main() -> None:
    """Answers one request and exits with code 0, also after a `failed` event."""
    take_over_streams()
    job = Job(json.loads(sys.stdin.readline()))
    die_with_parent()
    limit_process(job.request)
    try:
        ACTIONS[job.request["action"]](job)
    except Exception as error:
        send("failed", phase=job.phase, **described(error))
    # Without destroying the session, which can crash.
    sys.stderr.flush()
    os._exit(0)


def described(error: Exception) -> dict[str, Any]:
    """Fields of the `failed` event for an error."""
    cause = error.__cause__ if isinstance(error, UnusableInput) else error
    fields: dict[str, Any] = {"error_type": type(cause).__name__, "message": str(cause)}
    for name in ("input_name", "available_providers"):
        if hasattr(error, name):
            fields[name] = getattr(error, name)
    return fields


def take_over_streams() -> None:
    """Keeps the original standard output for events; other output goes to standard error."""
    global REPLY  # noqa: PLW0603 - one reply channel per process
    REPLY = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8", errors="backslashreplace")
    os.dup2(2, 1)
    # A login shell may have printed a greeting without a line end.
    REPLY.write("\n")


def send(event: str, **fields: object) -> None:
    """Writes one event as one line."""
    REPLY.write(json.dumps(dict(fields, event=event)) + "\n")
    REPLY.flush()


def die_with_parent() -> None:
    """Makes the kernel end this process when the other end of standard input closes.

    The parent keeps that end open. When the parent ends, even by `kill -9`, the pipe
    closes, and the kernel sends SIGIO, whose default action ends the process. This
    needs no thread, and no lock can delay it.
    """
    try:
        import fcntl
        import select

        fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
        flags = fcntl.fcntl(0, fcntl.F_GETFL)
        fcntl.fcntl(0, fcntl.F_SETFL, flags | os.O_ASYNC)
        poller = select.poll()
        poller.register(0, select.POLLIN)
        if poller.poll(0):  # closed before the flag was set
            os._exit(1)
    except (ImportError, OSError, AttributeError):
        return  # not a pipe or not Linux: only the parent cleans up


def limit_process(request: dict[str, Any]) -> None:
    """Sets the memory ceiling, turns core dumps off, and is the first that the kernel kills."""
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        ceiling = request.get("ceiling_bytes")
        if ceiling:
            # Counts private writable memory, but not read-only mappings of files.
            resource.setrlimit(resource.RLIMIT_DATA, (ceiling, ceiling))
    except (ImportError, OSError, ValueError):
        pass  # not supported here
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")
    except OSError:
        pass


def time_series(job: Job) -> None:
    """Times models in order and sends an event after each; of memory, only the baseline."""
    request = job.request
    import numpy

    engine = importlib.import_module("engine_" + request["engine"])
    library = engine.import_library()
    warm_up(numpy)
    send(
        "ready",
        versions=dict(versions(numpy), **engine.library_versions(library)),
        modules=[],
        baseline=read_memory(emulated=request.get("emulated", False)),
        peak_source="sampled",
    )
    deadline = time.perf_counter_ns() + request["tasks_time_ns"]
    for index, task in enumerate(request["tasks"]):
        if index >= request["tasks_needed"] and time.perf_counter_ns() > deadline:
            break
        job.phase = "load"
        session = engine.create_session(library, dict(request, **task))
        job.phase = "inputs"
        feeds = make_feeds(numpy, dict(request, **task))
        run = engine.bind_run(session, engine.as_feeds(library, task["inputs"], feeds))
        job.phase = "run"
        send("timed", index=index, **time_runs(run, request["schedule"], lambda _first_ns: None))
        # A small machine may not have memory for two models.
        del run, session
    send("finished")


def convert(job: Job) -> None:
    """Writes a model in another form, and reports the time and the peak."""
    request = job.request
    import numpy

    engine = importlib.import_module("engine_" + request["engine"])
    library = engine.import_library()
    meter = Meter(force_sampling=False)
    send(
        "ready",
        versions=dict(versions(numpy), **engine.library_versions(library)),
        modules=[],
        baseline=read_memory(emulated=False),
        peak_source=meter.source,
    )
    job.phase = "load"
    meter.begin()
    started = time.perf_counter_ns()
    engine.convert(request)
    send("converted", convert_ns=time.perf_counter_ns() - started, peak_bytes=meter.end())


def measure(job: Job) -> None:
    """Runs all phases and sends an event after each."""
    request = job.request
    emulated = request.get("emulated", False)
    recorder = Recorder() if request.get("record") else None
    import numpy

    engine = importlib.import_module("engine_" + request["engine"])
    library = engine.import_library()
    memray: ModuleType | None = None
    if request["instrument"] == "memray":
        memray = importlib.import_module("memray")
    warm_up(numpy)
    ballast = disturb_heap() if request.get("disturb_heap") else None
    meter = Meter(force_sampling=request.get("force_sampling", False))
    surveyor = CLibrary() if request.get("survey") else None
    # A survey needs memory; the first one makes that part of the baseline.
    survey = take_survey(surveyor) if surveyor else None
    send(
        "ready",
        versions=dict(versions(numpy), **engine.library_versions(library)),
        modules=sorted(name for name in sys.modules if "." not in name),
        baseline=read_memory(emulated=emulated),
        peak_source=meter.source,
        survey=survey,
    )

    def start_phase(phase: str) -> None:
        if recorder:
            recorder.start_phase(phase)

    def after_first(first_ns: int) -> None:
        start_phase("runs")
        send("first", first_run_ns=first_ns)

    job.phase = "load"
    log_to(request.get("log_path"))
    start_phase("load")
    with capture(memray, request, "load"):
        meter.begin()
        started = time.perf_counter_ns()
        session = engine.create_session(library, request)
        load_ns = time.perf_counter_ns() - started
        peak = meter.end()
    memory = read_memory(emulated=emulated)
    survey = take_survey(surveyor) if surveyor else None
    send(
        "loaded",
        load_ns=load_ns,
        peak_bytes=peak,
        memory=memory,
        survey=survey,
        precision=engine.precision(session),
    )

    with capture(memray, request, "inference"):
        job.phase = "inputs"
        start_phase("inputs")
        feeds = engine.as_feeds(library, request["inputs"], make_feeds(numpy, request))
        job.phase = "run"
        run = engine.bind_run(session, feeds)
        meter.begin()
        start_phase("first-run")
        latency = time_runs(run, request["schedule"], after_first)
        peak = meter.end()
    memory = read_memory(emulated=emulated)
    survey = take_survey(surveyor) if surveyor else None
    del ballast
    if recorder:
        send("recording", **recorder.stop())
    if request.get("outputs_path"):
        save_outputs(numpy, run(), request["outputs_path"])
    profile_path = engine.end_profile(session) if request.get("profile_prefix") else None
    send(
        "done", peak_bytes=peak, memory=memory, survey=survey, profile_path=profile_path, **latency
    )


def versions(numpy: ModuleType) -> dict[str, str]:
    """Versions of everything beside the engine that affects the figures."""
    import platform

    return {
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "libc": " ".join(platform.libc_ver()).strip(),
        "arch": platform.machine(),
        "kernel": platform.system() + " " + platform.release(),
    }


ACTIONS = {"series": time_series, "measure": measure, "convert": convert}

if __name__ == "__main__":
    main()
