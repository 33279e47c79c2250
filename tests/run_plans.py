"""Runs the plans of one model until one works; prints which, and the shapes of its outputs.

A script of its own, because a model may crash or hang the process that runs it.
"""

import json
import sys


def make(np, spec):
    fill, shape, dtype = spec["fill"], tuple(spec["shape"]), spec["dtype"]
    if spec["kind"] == "optional" and fill["kind"] == "absent":
        return None
    if dtype == "string":
        array = np.full(shape, "0", dtype=object)
    elif fill["kind"] == "uniform":
        array = np.random.default_rng(0).uniform(fill["low"], fill["high"], shape).astype(dtype)
    elif fill["kind"] == "integers":
        low, high = int(fill["low"]), int(fill["high"])
        array = np.random.default_rng(0).integers(low, high, shape, endpoint=True).astype(dtype)
    else:
        array = np.full(shape, fill["low"]).astype(dtype)
    return [array] if spec["kind"] == "sequence" else array


def main():
    import numpy as np
    import onnxruntime

    request = json.load(sys.stdin)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(request["path"], options)
    except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
        json.dump({"load": str(error)[:300]}, sys.stdout)
        return
    errors = []
    for at, plan in enumerate(request["plans"]):
        feeds = {spec["name"]: make(np, spec) for spec in plan["inputs"]}
        try:
            outputs = session.run(None, feeds)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
            errors.append(str(error)[:300])
            continue
        names = [value.name for value in session.get_outputs()]
        shapes = {
            name: list(value.shape)
            for name, value in zip(names, outputs, strict=True)
            if isinstance(value, np.ndarray)
        }
        json.dump({"plan": at, "errors": errors, "shapes": shapes}, sys.stdout)
        return
    json.dump({"errors": errors}, sys.stdout)


if __name__ == "__main__":
    main()
