"""Does `prove` agree with the profile, and with cgroups that the benchmark made itself?

For every model: whether it survives under its reported peak and 5 % more, and not under
85 % of its reported floor; and the floor and comfort point of `prove --bisect` beside those
of a search that shares no code with it.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks._cgroup import memory_cgroup
from benchmarks._common import HERE, print_table
from feasibility.measure.measure_model import measure_model
from feasibility.measure.measure_options import MeasureOptions
from feasibility.measure.prove.prove_model import ProveOptions, prove_model
from feasibility.records.proof import LimitedRun
from feasibility.records.shared_fields import AllocatorSetting
from feasibility.records.workload import STEADY_ENVIRONMENT, InputSpec
from feasibility.units import MIB
from feasibility.zoo import architectures as zoo

MODELS = ("yamnet", "mobilenet-v2", "resnet18-fastai", "minilm-l6", "resnet101")
EXTERNAL_SUFFIX = "-external"
EXTERNAL = f"minilm-l6{EXTERNAL_SUFFIX}"
DEFAULT_RUN_COUNT = 3
PEAK_RATIO, FLOOR_RATIO = 1.05, 0.85
INDEPENDENT_PRECISION_RATIO = 0.01
COMFORT_RATIO = 1.1
TRIAL_COUNT = 3


def main() -> None:
    """Prints one table of limits and one of searches; models may be named as arguments."""
    names = sys.argv[1:] or (*MODELS, EXTERNAL)
    with tempfile.TemporaryDirectory() as folder:
        paths = [path_of(name, Path(folder)) for name in names]
        print_limits(paths)
        print_searches(paths)


def path_of(name: str, folder: Path) -> Path:
    """The model that an argument means: a file, or an architecture of the zoo."""
    if name.endswith(".onnx"):
        return Path(name)
    if name.endswith(EXTERNAL_SUFFIX):
        return with_external_data(zoo.build(name.removesuffix(EXTERNAL_SUFFIX)), folder)
    return zoo.build(name)


def with_external_data(path: Path, folder: Path) -> Path:
    """The same model with its weights in a file beside it."""
    import onnx

    target = folder / f"{path.stem}{EXTERNAL_SUFFIX}.onnx"
    onnx.save(onnx.load(path), target, save_as_external_data=True, location=f"{path.stem}.data")
    return target


def print_limits(paths: list[Path]) -> None:
    """Prints what became of the models under limits that their profiles call enough or not."""
    rows = []
    for path in paths:
        profile = measure_model(path)
        memory, default = profile.memory, profile.default_allocator
        assert memory is not None
        assert default is not None
        assert memory.floor_bytes is not None
        peak = memory.peak_bytes
        high = max(default.load_peak_high_bytes, default.inference_peak_high_bytes or 0)
        roomy = outcome(path, round(peak * PEAK_RATIO), "steady")
        unprepared = [
            outcome(path, round(high * PEAK_RATIO), "default") for _ in range(DEFAULT_RUN_COUNT)
        ]
        tight = outcome(path, round(memory.floor_bytes * FLOOR_RATIO), "steady")
        rows.append(
            (
                path.stem,
                f"{peak / MIB:.1f}",
                described(roomy),
                f"{high / MIB:.1f}",
                ", ".join(run.outcome for run in unprepared),
                f"{memory.floor_bytes / MIB:.1f}",
                described(tight),
            )
        )
    heading = ("model", "peak", "at 1.05", "default peak", "at 1.05", "floor", "at 0.85")
    print_table(heading, rows)


def outcome(path: Path, limit_bytes: int, allocator: AllocatorSetting) -> LimitedRun:
    """What `prove` says of one limit."""
    wanted = ProveOptions(memory_bytes=limit_bytes, allocator=allocator)
    run = prove_model(path, MeasureOptions(), wanted).verdict
    assert run is not None
    return run


def described(run: LimitedRun) -> str:
    """The outcome with its phase or its slowdown."""
    if run.latency_ratio is None:
        return f"{run.outcome} ({run.phase})"
    return f"{run.outcome} ({run.latency_ratio:.2f}x)"


def print_searches(paths: list[Path]) -> None:
    """Prints floor and comfort point beside those of the independent search, in MiB."""
    rows = []
    for path in paths:
        proof = prove_model(path, MeasureOptions(), ProveOptions(bisect=True))
        found = proof.bisection
        assert found is not None
        enforced = {run.limit_bytes: run.enforced_bytes for run in proof.runs}
        floor, comfort = independent_search(path, measured_inputs(proof.workload.inputs))
        for name, ours, other in (
            ("floor", found.floor_bytes, floor),
            ("comfort", found.comfort_bytes, comfort),
        ):
            assert ours is not None
            kernel = enforced[ours] or 0
            rows.append(
                (
                    f"{path.stem}, {name}",
                    f"{ours / MIB:.1f}",
                    f"{other.model_bytes / MIB:.1f}",
                    f"{100 * (ours / other.model_bytes - 1):+.1f} %",
                    f"{kernel / MIB:.1f}",
                    f"{other.limit_bytes / MIB:.1f}",
                    f"{100 * (kernel / other.limit_bytes - 1):+.1f} %",
                    str(len(proof.runs)),
                )
            )
    heading = ("model", "prove", "independent", "", "kernel limit", "independent", "", "runs")
    print_table(heading, rows)


def measured_inputs(inputs: Sequence[InputSpec]) -> str:
    """The inputs in the words of the independent child."""
    return json.dumps(
        [
            {
                "name": each.name,
                "dtype": each.dtype,
                "shape": each.shape,
                "low": each.fill.low,
                "high": max(each.fill.low, each.fill.high)
                if each.fill.kind in ("integers", "uniform")
                else each.fill.low,
            }
            for each in inputs
        ]
    )


@dataclass(frozen=True, slots=True)
class Found:
    """A limit that the independent search ended with, in all and less the baseline."""

    limit_bytes: int
    model_bytes: int


def independent_search(path: Path, inputs: str) -> tuple[Found, Found]:
    """Floor and comfort point, by plain halving between an eighth and all of what it wants."""
    # Whatever else the machine does makes runs slower, never faster: the fastest counts.
    unlimited = [starve(path, inputs, None) for _ in range(TRIAL_COUNT)]
    baseline, peak, _ = unlimited[0]
    median = min(each for _, _, each in unlimited if each is not None)

    def survives(limit: int) -> bool:
        return starve(path, inputs, limit)[2] is not None

    def is_comfortable(limit: int) -> bool:
        found = [starve(path, inputs, limit)[2] for _ in range(TRIAL_COUNT)]
        return any(each is not None and each <= COMFORT_RATIO * median for each in found)

    low = baseline + (peak - baseline) // 8
    floor = halve(low, peak, survives)
    if is_comfortable(round(floor * (1 + INDEPENDENT_PRECISION_RATIO))):
        comfort = floor
    else:
        comfort = halve(floor, peak, is_comfortable)
    return Found(floor, floor - baseline), Found(comfort, comfort - baseline)


def halve(low: int, high: int, is_enough: Callable[[int], bool]) -> int:
    """The lowest limit that is enough, to a percent."""
    while high > low * (1 + INDEPENDENT_PRECISION_RATIO):
        middle = math.isqrt(low * high)
        if is_enough(middle):
            high = middle
        else:
            low = middle
    return high


def starve(path: Path, inputs: str, limit: int | None) -> tuple[int, int, int | None]:
    """Baseline, highest charge and median time of a child; no time if it did not survive."""
    with limited_group(limit) as group:
        for file in path.parent.glob(f"{path.stem.removesuffix(EXTERNAL_SUFFIX)}*"):
            descriptor = os.open(file, os.O_RDONLY)
            os.fdatasync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)
        result = subprocess.run(
            [
                "/bin/sh",
                "-c",
                'echo $$ > "$0" && exec "$@"',
                str(group / "cgroup.procs"),
                sys.executable,
                "-P",
                str(HERE / "_starved.py"),
                str(path),
                inputs,
            ],
            env={**os.environ, **STEADY_ENVIRONMENT},
            stdout=subprocess.PIPE,
            check=False,
        )
        marks = ("memory.max_usage_in_bytes", "memory.peak")
        peak = next(int((group / m).read_text()) for m in marks if (group / m).exists())
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    median = lines[1]["median_ns"] if len(lines) == 2 else None
    return lines[0]["baseline_bytes"], peak, median


@contextlib.contextmanager
def limited_group(limit: int | None) -> Iterator[Path]:
    """A group with a limit that was written by hand."""
    with memory_cgroup() as group:
        assert group is not None, "no control group can be made here"
        if limit is not None:
            if (group / "memory.max").exists():
                (group / "memory.max").write_text(str(limit))
                (group / "memory.swap.max").write_text("0")
            else:
                (group / "memory.limit_in_bytes").write_text(str(limit))
                (group / "memory.memsw.limit_in_bytes").write_text(str(limit))
        yield group


if __name__ == "__main__":
    main()
