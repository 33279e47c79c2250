"""Do the profile's memory figures repeat, and do they agree with independent counters?

For every model: the spread of five profiles; the steady figures against a bare child with
the same allocator setting and against the peak of a cgroup; and how many independent
children with the default allocator fall into the range that the profile states.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks._cgroup import memory_cgroup
from benchmarks._common import print_table, run_bare, warm_page_cache
from feasibility.measure.measure_model import measure_model
from feasibility.records.profile import Memory, Profile
from feasibility.records.workload import STEADY_ENVIRONMENT, InputPlan
from feasibility.units import MIB
from feasibility.zoo import architectures as zoo

MODELS = ("mobilenet-v2", "minilm-l6", "resnet18-fastai", "resnet101")
PROFILE_COUNT = 5
DEFAULT_CHILD_COUNT = 10
RANGE_MARGIN_RATIO = 0.02
STEADY_FIGURES = (
    "load_peak_bytes",
    "resident_bytes",
    "resident_anonymous_bytes",
    "resident_file_bytes",
    "inference_peak_bytes",
    "inference_anonymous_bytes",
    "inference_file_bytes",
    "floor_bytes",
    "comfort_bytes",
    "allocated_load_peak_bytes",
    "allocated_inference_peak_bytes",
    "arena_held_bytes",
)


def main() -> None:
    """Prints three tables per model; models may be named as arguments."""
    for name in sys.argv[1:] or MODELS:
        path = zoo.build(name)
        warm_page_cache(path)
        profiles = [measure_model(path) for _ in range(PROFILE_COUNT)]
        plan = InputPlan(inputs=profiles[0].workload.inputs)
        print_spread(name, profiles)
        print_agreement(name, steady_of(profiles[0]), path, plan)
        print_default_range(name, profiles[0], path, plan)


def steady_of(profile: Profile) -> Memory:
    """The profile's steady memory, without which there is nothing to compare."""
    assert profile.memory is not None
    return profile.memory


def print_spread(name: str, profiles: Sequence[Profile]) -> None:
    """Prints how far each steady figure varies over the profiles."""
    rows = []
    for figure in STEADY_FIGURES:
        values = [getattr(steady_of(profile), figure) for profile in profiles]
        if None not in values:
            rows.append((figure, *difference(max(values), min(values))))
    print_table((f"{name}: spread of {len(profiles)} profiles", "lowest", "range", "percent"), rows)


def print_agreement(name: str, memory: Memory, path: Path, plan: InputPlan) -> None:
    """Prints the steady peaks beside those of a bare child and of a cgroup."""
    bare = run_bare(path, plan, environment=STEADY_ENVIRONMENT)
    rows = [
        ("load peak, bare child", *difference(memory.load_peak_bytes, bare["load_peak_bytes"])),
        (
            "inference peak, bare child",
            *difference(memory.inference_peak_bytes or 0, bare["inference_peak_bytes"]),
        ),
    ]
    with memory_cgroup() as cgroup:
        if cgroup is None:
            rows.append(("no cgroup can be made here", "", "", ""))
        else:
            group = run_bare(path, plan, environment=STEADY_ENVIRONMENT, cgroup=cgroup)
            load = memory.load_peak_bytes - memory.resident_file_bytes
            inference = (memory.inference_peak_bytes or 0) - (memory.inference_file_bytes or 0)
            rows += [
                ("load peak, anonymous, cgroup", *difference(load, group["load_group_bytes"])),
                (
                    "inference peak, anonymous, cgroup",
                    *difference(inference, group["inference_group_bytes"]),
                ),
            ]
    print_table((f"{name}: the profile against", "the other", "profile more", "percent"), rows)


def print_default_range(name: str, profile: Profile, path: Path, plan: InputPlan) -> None:
    """Prints how many independent children fall into the profile's range."""
    default = profile.default_allocator
    assert default is not None
    children = [run_bare(path, plan) for _ in range(DEFAULT_CHILD_COUNT)]
    rows = []
    for figure, low, high in (
        ("load_peak", default.load_peak_low_bytes, default.load_peak_high_bytes),
        ("resident", default.resident_low_bytes, default.resident_high_bytes),
        ("inference_peak", default.inference_peak_low_bytes, default.inference_peak_high_bytes),
    ):
        assert low is not None
        assert high is not None
        least, most = low * (1 - RANGE_MARGIN_RATIO), high * (1 + RANGE_MARGIN_RATIO)
        found = [child[f"{figure}_bytes"] for child in children]
        inside = sum(least <= value <= most for value in found)
        stated = f"{low / MIB:.1f} to {high / MIB:.1f} MiB"
        seen = f"{min(found) / MIB:.1f} to {max(found) / MIB:.1f} MiB"
        rows.append((figure, stated, seen, f"{inside} of {len(found)}"))
    heading = f"{name}: default allocator, {default.repeat_count} children"
    print_table((heading, "stated", "independent", "inside +-2 %"), rows)


def difference(ours: int, other: int) -> tuple[str, str, str]:
    """The other figure, and by how much ours exceeds it."""
    percent = 100 * (ours - other) / other if other else 0.0
    return f"{other / MIB:.2f} MiB", f"{(ours - other) / MIB:+.2f} MiB", f"{percent:+.2f} %"


if __name__ == "__main__":
    main()
