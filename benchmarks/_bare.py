"""An independent look at one model: a bare session, a bare loop, the kernel's own counters.

Shares no code with the tool's child, on purpose. Takes one JSON request as its argument
and prints one JSON reply. If the request names a cgroup, this process joins the cgroup before
it imports anything, and also reads the cgroup's memory peaks.

`ENGINES` has one function per engine. The function imports the engine and returns a loader. The
loader loads a model and returns a function that prepares a run from inputs.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

Request: TypeAlias = dict[str, Any]
Feeds: TypeAlias = dict[str, Any]
Load: TypeAlias = Callable[[Request], Callable[[Feeds], Callable[[], object]]]


def main() -> None:
    request = json.loads(sys.argv[1])
    group = Group(request["cgroup"]) if request.get("cgroup") else None
    # Libraries print to standard output, which is for the reply.
    reply = os.dup(1)
    os.dup2(2, 1)
    import numpy as np

    load = ENGINES[request["engine"]]()
    before, group_before = status(), group and group.restart()
    reset_high_water_mark()
    with_feeds = load(request)
    loaded, group_load = status(), group and group.peak() - group_before
    feeds = {
        each["name"]: np.full(each["shape"], each["value"], dtype=each["dtype"])
        for each in request["inputs"]
    }
    run = with_feeds(feeds)
    if group:
        group.restart()
    reset_high_water_mark()
    loop(run, request["warmup_ns"], least=0)
    samples = loop(run, request["sampling_ns"], least=2)
    after = status()
    found = {
        "load_peak_bytes": loaded["VmHWM"] - before["VmRSS"],
        "load_group_bytes": group_load,
        "resident_bytes": loaded["VmRSS"] - before["VmRSS"],
        "resident_anonymous_bytes": loaded["RssAnon"] - before["RssAnon"],
        "inference_peak_bytes": after["VmHWM"] - before["VmRSS"],
        "inference_group_bytes": group and group.peak() - group_before,
        "inference_anonymous_bytes": after["RssAnon"] - before["RssAnon"],
        "median_ns": median(wall for wall, _ in samples),
        "processor_ns": median(processor for _, processor in samples),
    }
    os.write(reply, json.dumps(found).encode())


def onnxruntime() -> Load:
    import onnxruntime as ort

    def load(request: Request) -> Callable[[Feeds], Callable[[], object]]:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        providers = ["CPUExecutionProvider"]
        session = ort.InferenceSession(request["model"], options, providers=providers)
        return lambda feeds: lambda: session.run(None, feeds)

    return load


def openvino() -> Load:
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    import openvino as ov

    config = {
        "INFERENCE_NUM_THREADS": 1,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
    }

    def load(request: Request) -> Callable[[Feeds], Callable[[], object]]:
        model = ov.compile_model(request["model"], "CPU", config)
        runner = model.create_infer_request()
        return lambda feeds: lambda: runner.infer(feeds)

    return load


def litert() -> Load:
    from ai_edge_litert.interpreter import Interpreter

    def load(request: Request) -> Callable[[Feeds], Callable[[], object]]:
        interpreter = Interpreter(request["model"], num_threads=1)
        places = {each["name"]: each["index"] for each in interpreter.get_input_details()}
        for each in request["inputs"]:
            interpreter.resize_tensor_input(places[each["name"]], each["shape"])
        interpreter.allocate_tensors()
        outputs = [each["index"] for each in interpreter.get_output_details()]

        def bind(feeds: Feeds) -> Callable[[], object]:
            def run() -> object:
                for name, array in feeds.items():
                    interpreter.set_tensor(places[name], array)
                interpreter.invoke()
                return [interpreter.get_tensor(index) for index in outputs]

            return run

        return bind

    return load


def mnn() -> Load:
    import MNN
    from MNN import expr

    types = {"float32": expr.float, "int32": expr.int, "int64": expr.int}

    def load(request: Request) -> Callable[[Feeds], Callable[[], object]]:
        names = [each["name"] for each in request["inputs"]]
        config = {"backend": "CPU", "numThread": 1, "precision": "high"}
        module = MNN.nn.load_module_from_file(
            request["model"],
            names,
            request["outputs"],
            runtime_manager=MNN.nn.create_runtime_manager((config,)),
            shape_mutable=True,
        )

        def bind(feeds: Feeds) -> Callable[[], object]:
            given = []
            for name in names:
                array, kind = feeds[name], types[str(feeds[name].dtype)]
                whole = array.astype("int32") if kind == expr.int else array
                given.append(expr.const(whole, list(array.shape), expr.NCHW, kind))

            def plain(found: Any) -> object:
                is_blocked = found.data_format == expr.NC4HW4
                return (expr.convert(found, expr.NCHW) if is_blocked else found).read()

            return lambda: [plain(found) for found in module.forward(given)]

        return bind

    return load


ENGINES = {"onnxruntime": onnxruntime, "openvino": openvino, "litert": litert, "mnn": mnn}


def loop(run: Callable[[], object], enough_ns: int, least: int) -> list[tuple[int, int]]:
    """Wall and processor time of consecutive runs, until the time limit."""
    samples = []
    begun = time.perf_counter_ns()
    while len(samples) < least or time.perf_counter_ns() - begun < enough_ns:
        used, started = time.thread_time_ns(), time.perf_counter_ns()
        run()
        wall = time.perf_counter_ns() - started
        samples.append((wall, time.thread_time_ns() - used))
    return samples


def median(values: Any) -> int:
    """The median of the values; the lower of the two middle values if their number is even."""
    ordered = sorted(values)
    return int(ordered[(len(ordered) - 1) // 2])


def status() -> dict[str, int]:
    """VmRSS, VmHWM and RssAnon of this process, in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    pairs = (line.split() for line in lines if line.startswith(("VmRSS", "VmHWM", "RssAnon")))
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
