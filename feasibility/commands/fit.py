"""`feasibility fit`: the smallest change with which a model meets its targets, and its files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Final

from feasibility.commands.option_groups import CommandApp, argument, option
from feasibility.commands.options import (
    LONGEST_S,
    OUTPUT,
    HtmlOption,
    InputOptions,
    JsonOption,
    MeasuringOptions,
    QuietOption,
    ThreadsOption,
    TimeoutOption,
    measure_options,
)
from feasibility.commands.output import open_outputs, print_result
from feasibility.commands.progress import progress_on
from feasibility.errors import (
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_REQUIREMENT_NOT_MET,
    UsageError,
)
from feasibility.measure.measure_options import ProgressOf, no_progress_of
from feasibility.units import MIB, format_bytes, parse_bytes, parse_duration_ns

if TYPE_CHECKING:
    from feasibility.fit.fit_model import FitOptions
    from feasibility.fit.search import Report
    from feasibility.measure.measure_options import Progress
    from feasibility.records.changes import ChangeCode
    from feasibility.records.fit import Fit, FitCandidate

app = CommandApp()

# Pages of its library that any model loads.
LEAST_BYTES: Final = 9 * MIB
_FACTOR: Final = re.compile(r"(\d+(?:\.\d+)?)x")


@dataclass(frozen=True, slots=True, kw_only=True)
class FitTargetOptions:
    """What the model must keep."""

    heading: ClassVar = "Targets"

    memory: str | None = option(
        "--memory SIZE",
        "Highest memory of the model while loading and running, without Python and the runtime, "
        "for example 200MiB.",
    )
    floor: str | None = option(
        "--floor SIZE",
        "Highest memory that the kernel cannot evict, without Python and the runtime, for example "
        "50MiB.",
    )
    latency: str | None = option(
        "--latency TIME",
        "Longest time of one run, for example 50ms, or 0.5x for half the time of the unchanged "
        "model.",
    )
    size: str | None = option("--size SIZE", "Largest size of all files, for example 40MB.")
    max_drift: float | None = option(
        "--max-drift SHARE",
        "Largest difference of the outputs, divided by the largest output, for example 0.01.",
        min=0.0,
    )
    device: str | None = option(
        "--device ID",
        "Device that must run the model: its memory limit counts, and --latency is the time on it.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOptions:
    """How far to search."""

    heading: ClassVar = "Search"

    samples: Path | None = option(
        "--samples PATH",
        "Real inputs to quantize and to compare outputs: an .npz file, or a folder of .npz files; "
        "default: seeded random inputs.",
    )
    max_time: float = option(
        "--max-time SECONDS",
        "After this time, no candidate starts.",
        default=300.0,
        min=1.0,
        max=LONGEST_S,
    )
    measure_all: bool = option(
        "--all", "Measure all candidates, not only until one meets the targets.", default=False
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderOptions:
    """Where the files to deploy go."""

    heading: ClassVar = OUTPUT

    output: Path | None = option(
        "--output -o DIR", "Write the files to deploy and their loading code into this folder."
    )
    force: bool = option("--force", "Replace files that exist.", default=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class FitReportOptions:
    """Where the result is written, and how much the report shows."""

    heading: ClassVar = OUTPUT

    html: HtmlOption = None
    json: JsonOption = False
    quiet: QuietOption = False
    details: bool = option(
        "--details",
        "Also show candidates that did not run, and a plot of time against memory.",
        default=False,
    )


@app.add_command()
def fit(
    model: Annotated[Path, argument("MODEL", "An .onnx or .ort file.")],
    *,
    targets: FitTargetOptions,
    search: SearchOptions,
    inputs: InputOptions,
    threads: ThreadsOption = 1,
    timeout: TimeoutOption = 60.0,
    folder: FolderOptions,
    out: FitReportOptions,
) -> int:
    """Find the smallest change with which a model meets its targets.

    A candidate is the model with a set of changes. Candidates run in this order: other settings,
    other files, merged weights, other arithmetic. The search ends when a candidate meets the
    targets. A candidate whose modelled memory is too high does not run. Exit code 1: no candidate
    meets the targets.
    """
    with open_outputs(None, out.html, force=folder.force) as files:
        answer, was_interrupted = fit_of(
            model,
            targets=targets,
            search=search,
            inputs=inputs,
            threads=threads,
            timeout=timeout,
            folder=folder,
            progress_of=partial(progress_on, quiet=out.quiet),
        )
        from feasibility.render.reports.fit import fit_report

        print_result(
            answer,
            lambda: fit_report(answer, details=out.details),
            as_json=out.json,
            output=files,
        )
    if was_interrupted:
        return EXIT_INTERRUPTED
    return EXIT_OK if answer.chosen is not None else EXIT_REQUIREMENT_NOT_MET


def fit_of(
    model: Path,
    *,
    targets: FitTargetOptions,
    search: SearchOptions,
    inputs: InputOptions,
    threads: ThreadsOption = 1,
    timeout: TimeoutOption = 60.0,
    folder: FolderOptions,
    progress_of: ProgressOf = no_progress_of,
) -> tuple[Fit, bool]:
    """The result, and whether Ctrl-C ended the search; writes files if a folder is given."""
    options = measure_options(inputs, MeasuringOptions(timeout=timeout), threads)
    wanted = _wanted(targets, search)
    from msgspec.structs import replace

    from feasibility.deploy.write_deployment import refuse_existing, write_deployment
    from feasibility.fit.fit_model import fit_model

    if folder.output is not None:
        refuse_existing(folder.output, model.name, force=folder.force)
    with (
        progress_of(model.name) as progress,
        fit_model(model, options, wanted, _reporter(progress)) as found,
    ):
        answer = found.fit
        if folder.output is not None and found.model is not None and found.profile is not None:
            files = write_deployment(
                folder.output, found.model, answer, found.profile, force=folder.force
            )
            answer = replace(answer, files=files, folder=str(folder.output))
    return answer, found.was_interrupted


def _wanted(asked: FitTargetOptions, search: SearchOptions) -> FitOptions:
    from feasibility.fit.fit_model import FitOptions
    from feasibility.records.fit import FitTargets

    device, limit_bytes = None, None
    if asked.device is not None:
        from feasibility.catalogue.load_catalogue import chosen_devices

        device = chosen_devices([asked.device])[0]
        if device.runs_on == "gpu":
            raise UsageError(
                f"Cannot fit a model to {device.name}",
                "its models run on a GPU, and the changes are for CPUs",
                "choose a device without one, or give targets such as --memory 200MiB",
            )
        from feasibility.decide.constraints import memory_budget_bytes
        from feasibility.decide.requirements import Requirements

        limit_bytes = memory_budget_bytes(device, Requirements())
    latency_ns, latency_ratio = _time(asked.latency)
    targets = FitTargets(
        memory_bytes=_size("--memory", asked.memory),
        floor_bytes=_size("--floor", asked.floor),
        latency_ns=latency_ns,
        latency_ratio=latency_ratio,
        size_bytes=_size("--size", asked.size),
        drift_ratio=asked.max_drift,
        device=None if device is None else device.id,
        device_limit_bytes=limit_bytes,
    )
    if targets == FitTargets(drift_ratio=asked.max_drift):
        raise UsageError(
            "Cannot search for a change",
            "no target is given",
            "give --memory 200MiB, --floor 50MiB, --latency 50ms, --size 40MB or --device ID",
        )
    return FitOptions(
        targets=targets,
        device=device,
        samples=search.samples,
        max_time_s=search.max_time,
        measures_all=search.measure_all,
    )


def _size(name: str, text: str | None) -> int | None:
    """Bytes of a target; memory below what the runtime itself needs is an error."""
    if text is None:
        return None
    size = parse_bytes(text)
    if size < LEAST_BYTES and name in ("--memory", "--floor"):
        raise UsageError(
            f"Cannot reach {name} {text}",
            f"ONNX Runtime itself needs about {format_bytes(LEAST_BYTES)} to load any model",
            "give a larger size",
        )
    return size


def _time(text: str | None) -> tuple[int | None, float | None]:
    """A target of the time: nanoseconds, or a factor of the time of the model as it is."""
    if text is None:
        return None, None
    factor = _FACTOR.fullmatch(text)
    duration_ns, ratio = (None, float(factor[1])) if factor else (parse_duration_ns(text), None)
    if not (duration_ns or ratio):
        raise UsageError(
            f"Cannot reach --latency {text}", "every run takes time", "give a longer time"
        )
    return duration_ns, ratio


def _reporter(progress: Progress) -> Report:
    """Shows the candidate that is measured, the nearest so far, and the time left."""
    from feasibility.render.reports.fit import search_text

    def report(
        changes: tuple[ChangeCode, ...], nearest: FitCandidate | None, seconds_left: float
    ) -> None:
        progress(0, 0, search_text(changes, nearest, seconds_left))

    return report
