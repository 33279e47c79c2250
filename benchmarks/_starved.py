"""How does one model load and run inside a cgroup that the caller has limited?

Shares no code with the tool, on purpose: it is what the tool's findings are compared with.
Takes the model and its inputs as JSON; prints one line of JSON when it has imported
everything, and one when it is done, if it lives that long. Its caller starts it inside the
group, because what a process has before it enters one stays charged to where it came from.
"""

import json
import os
import sys
import time


def main() -> None:
    model, inputs = sys.argv[1], json.loads(sys.argv[2])
    import numpy as np
    import onnxruntime

    with open("/proc/self/status") as file:  # noqa: PTH123 - pathlib would be memory, too
        anonymous = next(int(line.split()[1]) for line in file if line.startswith("RssAnon"))
    print(json.dumps({"baseline_bytes": anonymous * 1024}), flush=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    feeds = {each["name"]: spread(np, each) for each in inputs}
    durations = []
    begun = time.perf_counter()
    while len(durations) < 12 or (time.perf_counter() - begun < 1 and len(durations) < 60):
        started = time.perf_counter_ns()
        session.run(None, feeds)
        durations.append(time.perf_counter_ns() - started)
        if len(durations) >= 4 and time.perf_counter() - begun > 5:
            break
    timed = sorted(durations[3:])
    print(json.dumps({"median_ns": timed[len(timed) // 2]}), flush=True)
    os._exit(0)


def spread(np, each):
    """Values over the whole range: equal ids would touch one row of an embedding table."""
    count = int(np.prod(each["shape"]))
    steps = np.arange(count, dtype=np.uint64) * np.uint64(2654435761) % np.uint64(1 << 32)
    values = each["low"] + steps.astype(np.float64) / (1 << 32) * (each["high"] - each["low"])
    return values.astype(each["dtype"]).reshape(each["shape"])


main()
