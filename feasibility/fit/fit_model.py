"""How is a model made to fit? Searches the smallest change, proves it, and keeps its files."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
from msgspec.structs import replace

import feasibility
from feasibility.budget.reading_cache import ReadingCache, model_digest
from feasibility.errors import FeasibilityError
from feasibility.fit.candidate_runs import CandidateRuns, Variant
from feasibility.fit.changes import precision_of, settings_of
from feasibility.fit.files import Files
from feasibility.fit.offers import smaller_workloads
from feasibility.fit.search import Report, Search
from feasibility.fit.targets import marked, missed, nearest
from feasibility.fit.workshop import SEEDED_COUNT, CandidateWorkshop, Measured, figures_of
from feasibility.measure.default_allocator_range import measure_range
from feasibility.measure.inputs_that_run import first_that_runs, read_to_run
from feasibility.measure.measure_options import MeasureOptions
from feasibility.measure.memory_figures import memory_of
from feasibility.measure.passes import local_passes
from feasibility.measure.profiled_model import profiled_model
from feasibility.measure.prove.prove_model import ProveOptions, prove_model
from feasibility.paths import cache_dir
from feasibility.records.device import Device
from feasibility.records.fit import Fit, FitCandidate, FitTargets, Offer
from feasibility.records.model_reading import ModelReading
from feasibility.records.profile import Profile
from feasibility.records.proof import Proof
from feasibility.records.shared_fields import Notice
from feasibility.records.workload import InputPlan
from feasibility.rewrite.given_samples import sample_plans
from feasibility.rewrite.rewrite_model import rewrite_model
from feasibility.temporary_folders import scratch_folder

DEFAULT_MAX_TIME_S: Final = 300.0
# Each sample costs two processes per candidate.
_COMPARED_COUNT: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class FitOptions:
    """What to search.

    Attributes:
        device: Device whose limit and target apply; None for this machine.
        samples: Inputs for calibration and for the comparison of outputs.
        measures_all: True to go on after a candidate that meets the targets.
    """

    targets: FitTargets
    device: Device | None = None
    samples: Path | None = None
    max_time_s: float = DEFAULT_MAX_TIME_S
    measures_all: bool = False


class Found(NamedTuple):
    """The answer, and what to deploy: the changed model and its profile, if one meets the targets.

    Attributes:
        was_interrupted: True if Ctrl-C ended the search.
    """

    fit: Fit
    model: Path | None
    profile: Profile | None
    was_interrupted: bool


@contextlib.contextmanager
def fit_model(
    path: Path, options: MeasureOptions, wanted: FitOptions, report: Report
) -> Iterator[Found]:
    """The smallest change that meets the targets; files of it exist until the block ends."""
    deadline = time.monotonic() + wanted.max_time_s
    with scratch_folder() as folder:
        reading, plan, baseline, original = _baseline(path, options, wanted)
        workshop = _workshop(reading, plan, baseline, original, options, wanted, folder, deadline)
        first = workshop.judged((), baseline)
        search = Search(
            workshop=workshop,
            targets=wanted.targets,
            baseline=first,
            isa=wanted.device.isa if wanted.device else baseline.profile.host.arch,
            has_glibc=_has_glibc(baseline.profile, wanted.device),
            is_here=wanted.device is None or wanted.device.isa == baseline.profile.host.arch,
            deadline=deadline,
            measures_all=wanted.measures_all,
            report=report,
        )
        try:
            search.run(profiled_model(reading.facts))
            found = _found(search, workshop, reading)
        except KeyboardInterrupt:
            found = _found(search, workshop, reading, was_interrupted=True)
        yield found


def _baseline(
    path: Path, options: MeasureOptions, wanted: FitOptions
) -> tuple[ModelReading, InputPlan, Measured, CandidateRuns]:
    """What the file says, inputs that the model runs with, and its figures as it is."""
    reading = read_to_run(path, options, all_changes=True)
    passes = local_passes(reading.path, options)
    plan, plain = first_that_runs(reading, lambda each: passes.brief(each, 1), passes.ceiling_bytes)
    if plan.dims != reading.facts.dims:
        reading = read_to_run(path, dataclasses.replace(options, dims=plan.dims), all_changes=True)
    runs = CandidateRuns(Variant(reading.path.absolute(), reading), (), options, plan)
    profile = runs.profile()
    figures = figures_of(profile, 1.0, None)
    if _has_glibc(profile, wanted.device):
        # Without changes a process gets the default allocator. Its range takes many processes,
        # and decides nothing for a model that needs too much without it.
        if not missed(figures, wanted.targets, None, None):
            children, _ = measure_range(passes, plan, memory_of(plain))
            profile = runs.profile(children)
        default = profile.default_allocator
        assert default is not None
        figures = replace(
            figures,
            load_peak_bytes=default.load_peak_high_bytes,
            inference_peak_bytes=default.inference_peak_high_bytes or figures.inference_peak_bytes,
        )
    return reading, plan, Measured(profile=profile, figures=figures), runs


def _workshop(
    reading: ModelReading,
    plan: InputPlan,
    baseline: Measured,
    original: CandidateRuns,
    options: MeasureOptions,
    wanted: FitOptions,
    folder: Path,
    deadline: float,
) -> CandidateWorkshop:
    host, device = baseline.profile.host, wanted.device
    isa = device.isa if device else host.arch
    features = None if device is None else device.cpu.features if device.cpu else ()
    samples = sample_plans(wanted.samples, plan, folder) if wanted.samples else ()
    seeded = tuple((plan, options.seed + number) for number in range(SEEDED_COUNT))
    cache = ReadingCache(cache_dir() / "fit")
    # A plan for other sizes, another machine or another version gives other figures.
    key = msgspec.json.encode(
        (
            model_digest(reading.path, cache),
            feasibility.__version__,
            isa,
            features,
            host,
            plan,
            options.threads,
            options.seed,
            _identity(wanted.samples),
        )
    )
    return CandidateWorkshop(
        original=original,
        files=Files(
            original=reading,
            folder=folder,
            rewrite=lambda source, target, change, float_nodes: rewrite_model(
                source,
                target,
                change,
                isa=isa,
                features=features,
                plan=plan,
                samples=samples,
                keep_float=float_nodes,
            ),
            read=lambda changed: read_to_run(
                changed, dataclasses.replace(options, dims=plan.dims), all_changes=True
            ),
            is_portable=isa != host.arch,
        ),
        folder=folder,
        options=options,
        targets=wanted.targets,
        device=device,
        baseline=baseline,
        samples=tuple((each, options.seed) for each in samples[:_COMPARED_COUNT]) or seeded,
        has_samples=bool(samples),
        cache=cache,
        key=key,
        has_time=lambda: time.monotonic() < deadline,
        prove=lambda runs: _proved(runs, wanted.targets, isa, host.arch),
        measures_all=wanted.measures_all,
    )


def _identity(samples: Path | None) -> list[tuple[str, int, int]]:
    """Files of the samples with their sizes and times."""
    if samples is None:
        return []
    files = sorted(samples.iterdir()) if samples.is_dir() else [samples]
    return [(str(each), each.stat().st_size, each.stat().st_mtime_ns) for each in files]


def _found(
    search: Search,
    workshop: CandidateWorkshop,
    reading: ModelReading,
    *,
    was_interrupted: bool = False,
) -> Found:
    """The answer of a search that ended, with the proof of what was chosen."""
    chosen, baseline, targets = search.chosen, workshop.baseline.profile, workshop.targets
    proof = None if chosen is None else workshop.proofs.get(chosen.changes)
    model, profile = None, None
    offers: tuple[Offer, ...] = ()
    loads_on: tuple[str, ...] = ()
    if chosen is not None and not was_interrupted:
        measured = workshop.measured_by_changes.get(chosen.changes, workshop.baseline)
        profile = measured.profile
        # Later candidates may have left other nodes in float.
        workshop.files.leave_in_float(chosen.float_nodes)
        runs = workshop.runs(chosen.changes) if chosen.changes else workshop.original
        model = runs.variant.path
        emulated = () if measured.emulated is None else (measured.emulated.host.arch,)
        loads_on = (baseline.host.arch, *emulated)
    elif chosen is None and not was_interrupted:
        offers = smaller_workloads(
            reading.path, workshop.original.plan, targets, search.isa, has_glibc=search.has_glibc
        )
    every = marked((search.baseline, *search.tried))
    fit = Fit(
        tool_version=feasibility.__version__,
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
        model=replace(baseline.model, changed_memory=()),
        host=baseline.host,
        workload=baseline.workload,
        requirements=targets,
        baseline=every[0],
        candidates=every[1:],
        chosen=None
        if chosen is None
        else next(each for each in every if each.changes == chosen.changes),
        nearest=_nearest(search) if chosen is None else None,
        settings=settings_of(() if chosen is None else chosen.changes),
        proof_outcome=None if proof is None or proof.verdict is None else proof.verdict.outcome,
        loads_on=loads_on,
        offers=offers,
        is_complete=search.is_complete and not was_interrupted,
        warnings=(
            *(reading.facts.warnings if proof is None else proof.warnings),
            *_seeded_warning(chosen, workshop),
        ),
    )
    return Found(fit, model, profile, was_interrupted)


def _nearest(search: Search) -> FitCandidate | None:
    """The nearest changed model; None if the model as it is comes as near."""
    found = nearest((search.baseline, *search.tried))
    return found if found is not None and found.changes else None


def _proved(runs: CandidateRuns, targets: FitTargets, isa: str, arch: str) -> Proof | None:
    """A run under the lower memory target; None without a target or on another machine."""
    limits = [each for each in (targets.memory_bytes, targets.floor_bytes) if each is not None]
    if not limits or isa != arch:
        return None
    options = dataclasses.replace(runs.passes.options, dims=runs.plan.dims)
    try:
        return prove_model(runs.variant.path, options, ProveOptions(memory_bytes=min(limits)))
    except FeasibilityError:
        return None


def _seeded_warning(chosen: FitCandidate | None, workshop: CandidateWorkshop) -> tuple[Notice, ...]:
    """What random inputs do not show about other arithmetic."""
    if chosen is None or precision_of(chosen.changes) is None or workshop.has_samples:
        return ()
    return (
        Notice(
            code="seeded-samples",
            message="seeded random inputs were used to compare outputs and to quantize; they say "
            "little about the accuracy with real inputs",
            hint="before you deploy this, run it again with real inputs: --samples PATH",
        ),
    )


def _has_glibc(profile: Profile, device: Device | None) -> bool:
    """Whether the target's processes use glibc's allocator."""
    if device is not None:
        return device.allocator == "glibc"
    return profile.host.libc.startswith("glibc")
