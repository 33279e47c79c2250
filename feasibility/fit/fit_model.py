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
from feasibility.decide.constraints import memory_budget_bytes
from feasibility.decide.requirements import Requirements
from feasibility.errors import FeasibilityError
from feasibility.fit.candidate_runs import CandidateRuns, Variant
from feasibility.fit.candidates import Destination
from feasibility.fit.changes import precision_of, settings_of
from feasibility.fit.files import Files
from feasibility.fit.offers import more_threads, smaller_workloads
from feasibility.fit.on_target import can_emulate
from feasibility.fit.search import Report, Search
from feasibility.fit.targets import marked, missed, nearest
from feasibility.fit.workshop import SEEDED_COUNT, CandidateWorkshop, Measured, figures_of
from feasibility.measure.default_allocator_range import default_range, measure_range
from feasibility.measure.inputs_that_run import first_that_runs, read_for, read_to_run
from feasibility.measure.measure_options import MeasureOptions
from feasibility.measure.memory_figures import memory_of
from feasibility.measure.passes import passes_over
from feasibility.measure.profiled_model import profiled_model
from feasibility.measure.prove.prove_model import ProveOptions, prove_model
from feasibility.model_file.open_model import FileIdentity
from feasibility.reading_cache import model_digest, user_cache
from feasibility.records.device import Device
from feasibility.records.fit import Fit, FitCandidate, FitTargets, Offer
from feasibility.records.profile import Profile
from feasibility.records.proof import Proof
from feasibility.records.shared_fields import Notice
from feasibility.rewrite.given_samples import sample_plans
from feasibility.rewrite.require_onnx import require_onnx
from feasibility.rewrite.rewrite_model import rewrite_model
from feasibility.runners.emulator.installed_emulator import ISA
from feasibility.temporary_folders import scratch_folder
from feasibility.text import safe_text

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
    max_time_s: float
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
        original, baseline = _baseline(path, options, wanted)
        workshop = _workshop(original, baseline, wanted, folder, deadline)
        first = workshop.judged((), baseline)
        search = Search(
            workshop=workshop,
            targets=wanted.targets,
            baseline=first,
            destination=_destination(baseline.profile, wanted.device),
            deadline=deadline,
            measures_all=wanted.measures_all,
            report=report,
        )
        try:
            search.run(profiled_model(original.variant.reading.facts))
            found = _found(search, workshop)
        except KeyboardInterrupt:
            found = _found(search, workshop, was_interrupted=True)
        yield found


def _baseline(
    path: Path, options: MeasureOptions, wanted: FitOptions
) -> tuple[CandidateRuns, Measured]:
    """Runs of the unchanged model with inputs that work, and its figures."""
    reading = read_to_run(path, options, all_changes=True)
    # Settings apply to ONNX Runtime's own format too.
    require_onnx(
        reading.facts.format, f"Cannot fit '{safe_text(reading.facts.name)}'", or_else="ort"
    )
    passes = passes_over(reading, options)
    plan, plain = first_that_runs(reading, lambda each: passes.brief(each, 1), passes)
    reading = read_for(plan, reading, options, all_changes=True)
    runs = CandidateRuns(Variant(reading.path.absolute(), reading), (), options, plan)
    profile = runs.profile()
    figures = figures_of(profile, 1.0, None)
    if _destination(profile, wanted.device).has_glibc:
        # Without changes a process gets the default allocator. Its range takes many processes,
        # and decides nothing for a model that needs too much without it.
        if not missed(figures, wanted.targets, None, None):
            children, _ = measure_range(passes, plan, memory_of(plain))
            profile = replace(profile, default_allocator=default_range(children))
        default = profile.default_allocator
        assert default is not None
        figures = replace(
            figures,
            load_peak_bytes=default.load_peak_high_bytes,
            inference_peak_bytes=default.inference_peak_high_bytes or figures.inference_peak_bytes,
        )
    return runs, Measured(profile=profile, figures=figures)


def _workshop(
    original: CandidateRuns,
    baseline: Measured,
    wanted: FitOptions,
    folder: Path,
    deadline: float,
) -> CandidateWorkshop:
    reading, plan, options = original.variant.reading, original.plan, original.options
    host, device = baseline.profile.host, wanted.device
    destination = _destination(baseline.profile, device)
    features = None if device is None else device.cpu.features if device.cpu else ()
    samples = sample_plans(wanted.samples, plan, folder) if wanted.samples else ()
    seed_count = SEEDED_COUNT if plan.has_random_inputs else 1
    seeded = tuple((plan, options.seed + number) for number in range(seed_count))
    cache = user_cache("fit")
    # A plan for other sizes, another machine or another version gives other figures.
    key = msgspec.json.encode(
        (
            model_digest(reading.path, cache),
            feasibility.__version__,
            features,
            host,
            destination,
            None if device is None else device.id,
            plan,
            options.threads,
            options.seed,
            [
                (str(each), FileIdentity.of(each.stat()))
                for each in _input_files(options, wanted.samples)
            ],
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
                isa=destination.isa,
                features=features,
                plan=plan,
                samples=samples,
                keep_float=float_nodes,
            ),
            read=lambda changed: read_to_run(
                changed, dataclasses.replace(options, dims=plan.dims), all_changes=True
            ),
            is_portable=not destination.is_here,
        ),
        targets=wanted.targets,
        device=device,
        baseline=baseline,
        samples=tuple((each, options.seed) for each in samples[:_COMPARED_COUNT]) or seeded,
        has_samples=bool(samples),
        cache=cache,
        key=key,
        has_time=lambda: time.monotonic() < deadline,
        prove=lambda runs: _proved(runs, wanted.targets, destination, host.arch),
        measures_all=wanted.measures_all,
    )


def _input_files(options: MeasureOptions, samples: Path | None) -> list[Path]:
    """The files that inputs and samples are read from."""
    files = [*options.input_files.values(), *filter(None, [options.inputs_archive])]
    if samples is None:
        return files
    return [*files, *(sorted(samples.iterdir()) if samples.is_dir() else [samples])]


def _found(search: Search, workshop: CandidateWorkshop, *, was_interrupted: bool = False) -> Found:
    """The answer of a search that ended, with the proof of what was chosen."""
    chosen, baseline, targets = search.chosen, workshop.baseline.profile, workshop.targets
    reading = workshop.original.variant.reading
    proof = None if chosen is None else workshop.proofs.get(chosen.changes)
    model, profile = None, None
    offers: tuple[Offer, ...] = ()
    loads_on: tuple[str, ...] = ()
    if chosen is not None and not was_interrupted:
        measured = workshop.measured_by_changes.get(chosen.changes, workshop.baseline)
        profile = measured.profile
        model = workshop.runs_of(chosen).variant.path
        emulated = () if measured.emulated is None else (measured.emulated.host.arch,)
        loads_on = (baseline.host.arch, *emulated)
    elif chosen is None and not was_interrupted:
        offers = (
            *more_threads((search.baseline, *search.tried), workshop),
            *smaller_workloads(reading, baseline, targets, search.destination, workshop.device),
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
        baseline_allocator="default" if search.destination.has_glibc else "steady",
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
            *_not_emulated_warning(workshop.device, baseline.host.arch),
        ),
    )
    return Found(fit, model, profile, was_interrupted)


def _nearest(search: Search) -> FitCandidate | None:
    """The nearest changed model; None if the model as it is comes as near."""
    found = nearest((search.baseline, *search.tried))
    return found if found is not None and found.changes else None


def _proved(
    runs: CandidateRuns, targets: FitTargets, destination: Destination, arch: str
) -> Proof | None:
    """A run under the lower memory target; None without a target or on another machine.

    The model as it is gets the allocator that it has on its destination.
    """
    limit_bytes = targets.enforced_bytes
    if limit_bytes is None or destination.isa != arch:
        return None
    options = dataclasses.replace(runs.passes.options, dims=runs.plan.dims)
    has_default = destination.has_glibc and not options.settings.has_steady_allocator
    wanted = ProveOptions(
        memory_bytes=limit_bytes, allocator="default" if has_default else "steady"
    )
    try:
        return prove_model(runs.variant.path, options, wanted)
    except FeasibilityError:
        # The report says that nothing was proved.
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


def _not_emulated_warning(device: Device | None, arch: str) -> tuple[Notice, ...]:
    """A notice that an emulator can measure memory for the device, if it is not installed."""
    if device is None or device.isa != ISA or arch == ISA or can_emulate(device):
        return ()
    return (
        Notice(
            code="not-emulated",
            message=f"no candidate was run on {ISA}: memory there is projected, and the upper end "
            "of the projection counts",
            hint=f"`feasibility runner install {ISA}` lets fit measure it under emulation, and "
            "load the files there",
        ),
    )


def _destination(here: Profile, device: Device | None) -> Destination:
    """The device; without one, this machine."""
    if device is None:
        return Destination(here.host.arch, here.host.libc.startswith("glibc"), is_here=True)
    granted = memory_budget_bytes(device, Requirements())
    return Destination(
        device.isa,
        device.allocator == "glibc",
        # Files for this machine may hold what its processor alone reads.
        is_here=False,
        limit_bytes=None
        if granted is None
        else max(1, granted - device.limits.runtime_bytes.value),
    )
