"""Can a figure be compared with a baseline that was taken under other conditions?"""

from __future__ import annotations

import functools
import importlib.metadata
import platform
from typing import Final, NamedTuple

from feasibility.budget.metrics import METRICS
from feasibility.records.budget import Conditions, Metric, Snapshot
from feasibility.records.workload import EngineName
from feasibility.runners.engines import ENGINES
from feasibility.runners.host import read_host, this_host

# Figures of the steady allocator repeat within half a percent on one machine. Another processor
# of the same instruction set may store weights in other blocks: a few percent difference.
SAME_HOST_TOLERANCE: Final = 0.005
OTHER_CPU_TOLERANCE: Final = 0.03

_ONNX_RUNTIME_BUILDS: Final = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino")
_FILE_METRICS: Final[frozenset[Metric]] = frozenset({"file_size", "parameters"})
_GRAPH_METRICS: Final[frozenset[Metric]] = frozenset({"flops", "activation_peak"})


class Comparability(NamedTuple):
    """Whether a figure can be compared with the baseline.

    Args:
        obstacle: Why it cannot; empty if it can.
        tolerance_ratio: How much the figures of equal models may differ.
    """

    obstacle: str = ""
    tolerance_ratio: float = 0.0


COMPARABLE: Final = Comparability()


@functools.cache
def host_conditions(name: EngineName) -> Conditions:
    """Conditions on this machine with an engine, read without importing it."""
    engine = ENGINES[name]
    packages = _ONNX_RUNTIME_BUILDS if engine.is_onnxruntime else (engine.package,)
    version = next(filter(None, map(_version, packages)), "")
    host = read_host(
        {
            "libc": " ".join(platform.libc_ver()).strip(),
            "kernel": f"{platform.system()} {platform.release()}",
        },
        this_host(),
    )
    return Conditions(
        arch=host.arch,
        cpu=host.cpu,
        core_count=host.core_count or 0,
        os=host.os,
        libc=host.libc,
        runtime=f"{engine.title} {version}".strip(),
        numpy=_version("numpy"),
        memray=_version("memray"),
    )


def comparability(metric: Metric, baseline: Snapshot, now: Snapshot) -> Comparability:
    """Whether the figures of a metric in two snapshots can be compared."""
    if metric in _FILE_METRICS:
        return COMPARABLE
    if not _have_same_sizes(baseline, now):
        return Comparability("the baseline was taken with other sizes of the symbolic dims")
    if metric in _GRAPH_METRICS:
        return COMPARABLE
    then, here = baseline.conditions, now.conditions
    if then is None or here is None:
        return Comparability("the baseline has no measured figures")
    obstacle = obstacle_between(then, here)
    if obstacle:
        return Comparability(obstacle)
    machines = {(each.cpu, each.core_count, each.os) for each in (then, here)}
    if METRICS[metric].need == "latency" and len(machines) > 1:
        return Comparability("the times of the baseline are from another machine")
    same_cpu = then.cpu == here.cpu
    return Comparability("", SAME_HOST_TOLERANCE if same_cpu else OTHER_CPU_TOLERANCE)


def _have_same_sizes(baseline: Snapshot, now: Snapshot) -> bool:
    """Whether the inputs have the same sizes; dim names may differ."""
    if baseline.inputs and now.inputs:
        return [spec.shape for spec in baseline.inputs] == [spec.shape for spec in now.inputs]
    return baseline.dims == now.dims


def obstacle_between(then: Conditions, here: Conditions) -> str:
    """Why memory measured under two conditions cannot be compared; empty if it can."""
    if (then.arch, then.method) != (here.arch, here.method):
        return f"the baseline was measured on {then.arch} ({then.method}), not on {here.arch}"
    if then.runtime != here.runtime:
        return f"the baseline was measured with {then.runtime}, not {here.runtime}"
    if then.libc != here.libc:
        return f"the baseline was measured with {then.libc}, not {here.libc}"
    if (then.provider, then.threads) != (here.provider, here.threads):
        return "the baseline was taken with another provider or number of threads"
    return ""


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
