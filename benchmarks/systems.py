"""Records the systems of the documents that started this tool, and writes `docs/systems.md`.

    python -m benchmarks.systems             # measure what is missing, then write the page
    python -m benchmarks.systems --again     # measure everything again
    python -m benchmarks.systems --render    # write the page only, from what is recorded

The page depends only on the recorded files in `profiles/systems/`, the device files and the
code. So a test can write the page again and compare.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

from benchmarks.systems_answers import CHANGE_TITLES, ESPNET_IDS, SystemsRecordings
from benchmarks.systems_page import systems_page
from feasibility.catalogue.load_catalogue import find_device, load_catalogue
from feasibility.compare.changed_models import changed_subjects
from feasibility.compare.compare_engines import compare_engines
from feasibility.compare.compare_models import compare_subjects
from feasibility.decide.constraints import memory_budget_bytes
from feasibility.decide.requirements import Requirements
from feasibility.fit.fit_model import FitOptions, fit_model
from feasibility.json_documents import encode, read_document
from feasibility.measure.measure_model import measure_model
from feasibility.measure.measure_options import MeasureOptions
from feasibility.paths import devices_dir
from feasibility.records.comparison import Comparison
from feasibility.records.fit import Fit, FitTargets
from feasibility.records.profile import Profile
from feasibility.records.systems import System
from feasibility.runners.engines import with_variants
from feasibility.systems.documents import DOCUMENTS
from feasibility.units import MILLISECOND_NS
from feasibility.zoo import architectures as zoo

ROOT: Final = Path(__file__).parent.parent
RECORDED: Final = ROOT / "profiles" / "systems"
PAGE: Final = ROOT / "docs" / "systems.md"
SYSTEMS: Final = {system.id: system for document in DOCUMENTS for system in document.systems}
ENGINES: Final = ("onnxruntime", "openvino", "mnn")
OF_ENGINES: Final = "wespeaker"
FITTED: Final = "sentence"
# Phones with a time target in milliseconds, in addition to the memory target.
FITS: Final[tuple[tuple[str, int | None], ...]] = (
    ("budget_g85_4gb", None),
    ("budget_g85_4gb", 100),
    ("galaxy_s24", 100),
)


def main() -> None:
    """Records the systems, except with --render, then writes the page."""
    if sys.argv[1:] != ["--render"]:
        RECORDED.mkdir(exist_ok=True)
        for name, record in recorders().items():
            path = RECORDED / f"{name}.json"
            if not path.exists() or sys.argv[1:] == ["--again"]:
                path.write_bytes(encode(record()))
                print(path.relative_to(ROOT), flush=True)
    PAGE.write_text(systems_page(read_recordings()), encoding="utf-8")
    print(PAGE.relative_to(ROOT))


def recorders() -> Mapping[str, Callable[[], msgspec.Struct]]:
    """How each file of `profiles/systems/` is measured."""
    return {
        **{name: partial(measured, system) for name, system in SYSTEMS.items()},
        **{f"{name}.changes": partial(compared_changes, SYSTEMS[name]) for name in ESPNET_IDS},
        f"{OF_ENGINES}.engines": partial(compared_engines, SYSTEMS[OF_ENGINES]),
        **{fit_name(*each): partial(fitted, SYSTEMS[FITTED], *each) for each in FITS},
    }


def read_recordings() -> SystemsRecordings:
    """All recorded files."""
    return SystemsRecordings(
        profiles={name: read_document(RECORDED / f"{name}.json", Profile) for name in SYSTEMS},
        changes={
            name: read_document(RECORDED / f"{name}.changes.json", Comparison)
            for name in ESPNET_IDS
        },
        engines=read_document(RECORDED / f"{OF_ENGINES}.engines.json", Comparison),
        fits=[read_document(RECORDED / f"{fit_name(*each)}.json", Fit) for each in FITS],
    )


def options_of(system: System) -> MeasureOptions:
    """How a system is measured: with its sizes and one thread."""
    return MeasureOptions(dims=system.dims)


def measured(system: System) -> Profile:
    """The profile of a system, without what the page does not need and without paths."""
    path, options = zoo.build(system.network), options_of(system)
    if system.change is None:
        return _without_details(measure_model(path, options))
    with changed_subjects(path, ("as-is", system.change), options) as (_, subject):
        assert subject.model is not None
        return _without_details(measure_model(subject.model, options))


def _without_details(profile: Profile) -> Profile:
    return replace(
        profile,
        model=replace(profile.model, path=profile.model.name),
        timeline=None,
        operators=(),
        allocations=(),
    )


def compared_changes(system: System) -> Comparison:
    """The network as it is with the optimizer off and on, fused, and in 8 bits."""
    options = options_of(system)
    with changed_subjects(zoo.build(system.network), tuple(CHANGE_TITLES), options) as subjects:
        return _only_figures(compare_subjects(subjects, options))


def compared_engines(system: System) -> Comparison:
    """The network with several engines."""
    comparison = compare_engines(
        zoo.build(system.network), with_variants(ENGINES), options_of(system)
    )
    return replace(_only_figures(comparison), operators=(), signal_ns=system.signal_ns)


def _only_figures(comparison: Comparison) -> Comparison:
    return replace(
        comparison,
        subjects=tuple(replace(each, path=Path(each.path).name) for each in comparison.subjects),
        replacements=(),
        parts=(),
    )


def fit_name(device_id: str, latency_ms: int | None) -> str:
    """Name of the file for one search."""
    return f"{FITTED}.fit-{device_id}" + ("" if latency_ms is None else f"-{latency_ms}ms")


def fitted(system: System, device_id: str, latency_ms: int | None) -> Fit:
    """The smallest change with which the system fits a phone."""
    device = find_device(device_id, load_catalogue(devices_dir()))
    targets = FitTargets(
        device=device.id,
        device_limit_bytes=memory_budget_bytes(device, Requirements()),
        latency_ns=None if latency_ms is None else latency_ms * MILLISECOND_NS,
    )
    wanted = FitOptions(targets=targets, device=device, max_time_s=900)
    with fit_model(zoo.build(system.network), options_of(system), wanted, lambda *_: None) as found:
        fit = found.fit
    return replace(fit, model=replace(fit.model, path=fit.model.name))


if __name__ == "__main__":
    main()
