"""`feasibility compare`: figures of models or saved profiles side by side."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from feasibility.commands.option_groups import CommandApp, single_option
from feasibility.commands.options import (
    MEASURING,
    InputOptions,
    MeasuringOptions,
    ReportOptions,
    measure_options,
)
from feasibility.commands.output import open_outputs, print_result
from feasibility.commands.progress import progress_on
from feasibility.errors import UsageError
from feasibility.measure.measure_options import ProgressOf, no_progress_of

if TYPE_CHECKING:
    from feasibility.compare.subjects import Subject
    from feasibility.measure.measure_options import MeasureOptions, Progress
    from feasibility.records.comparison import Comparison
    from feasibility.records.profile import Profile

app = CommandApp()

EnginesOption: TypeAlias = Annotated[
    str | None,
    single_option(
        "--engines A,B,...",
        "Measure one model with several engines; the first one is the reference. Engines: "
        "onnxruntime, openvino, mnn, litert (for .tflite files). docs/engines.md has all "
        "names.",
        heading=MEASURING,
    ),
]
ChangesOption: TypeAlias = Annotated[
    str | None,
    single_option(
        "--changes A,B,...",
        "Measure changed forms of one model; the first one is the reference. Changes: "
        "as-is, optimizer-off, transformer-fused, and those of `fit`, for example "
        "int8-dynamic (docs/compare.md); + combines them.",
        heading=MEASURING,
    ),
]
RealtimeOption: TypeAlias = Annotated[
    str | None,
    single_option(
        "--realtime TIME",
        "Seconds of signal per run, for example 0.975s; adds real-time factors.",
        heading=MEASURING,
    ),
]
CommonThreadsOption: TypeAlias = Annotated[
    int | None,
    single_option(
        "--threads N",
        "Intra-op threads of all models; default: that of the folders, otherwise 1.",
        min=1,
        heading=MEASURING,
    ),
]


@app.add_command()
def compare(
    subjects: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="A B...",
            show_default=False,
            help="Models, profiles that `measure -o` wrote, or folders that `fit -o` wrote; at "
            "most 6. A is the reference. With --engines or --changes: one model.",
        ),
    ] = None,
    *,
    engines: EnginesOption = None,
    changes: ChangesOption = None,
    realtime: RealtimeOption = None,
    inputs: InputOptions,
    threads: CommonThreadsOption = None,
    measuring: MeasuringOptions,
    out: ReportOptions,
) -> None:
    """Compare models, saved profiles, folders that `fit` wrote, engines, or forms of one model.

    Models and folders are measured now, in turns and with the same inputs. A folder is measured
    with the settings in its session_options.json. The report says which differences may be noise.
    An engine whose outputs differ from those of the reference gets no figures.
    """
    with open_outputs(out.output, out.html, force=out.force) as files:
        from feasibility.render.reports.compare import compare_report

        comparison = comparison_of(
            subjects or (),
            engines=engines,
            changes=changes,
            realtime=realtime,
            inputs=inputs,
            threads=threads,
            measuring=measuring,
            progress_of=partial(progress_on, quiet=out.quiet),
        )
        print_result(
            comparison,
            lambda: compare_report(comparison, details=out.details),
            as_json=out.json,
            output=files,
        )


def comparison_of(
    subjects: Sequence[Path | Profile],
    *,
    engines: EnginesOption = None,
    changes: ChangesOption = None,
    realtime: RealtimeOption = None,
    inputs: InputOptions,
    threads: CommonThreadsOption = None,
    measuring: MeasuringOptions,
    progress_of: ProgressOf = no_progress_of,
) -> Comparison:
    """The comparison of models, folders and profiles, or of forms of one model."""
    options = measure_options(inputs, measuring, threads or 1)
    from msgspec.structs import replace

    from feasibility.commands.parse_check_options import parse_realtime_ns
    from feasibility.compare.compare_models import compare_subjects

    signal_ns = None if realtime is None else parse_realtime_ns(realtime)
    if engines is not None and changes is not None:
        raise UsageError(
            "Cannot compare",
            "both --engines and --changes are given",
            "compare engines first, then changes",
        )
    with progress_of("compare") as progress:
        if engines is not None:
            comparison = _compare_engines(subjects, engines, options, progress)
        elif changes is not None:
            comparison = _compare_changes(subjects, changes, options, progress)
        else:
            comparison = compare_subjects(_subjects(subjects), options, threads, progress)
    return replace(comparison, signal_ns=signal_ns)


def _compare_engines(
    subjects: Sequence[Path | Profile], names: str, options: MeasureOptions, progress: Progress
) -> Comparison:
    from feasibility.compare.compare_engines import compare_engines
    from feasibility.runners.engines import engine_named, require_installed, with_variants

    path = _only(subjects, "engines", "--engines onnxruntime,openvino")
    engines = [engine_named(name.strip()) for name in names.split(",")]
    for engine in engines:
        require_installed(engine)
    return compare_engines(path, with_variants(engines), options, progress)


def _compare_changes(
    subjects: Sequence[Path | Profile], texts: str, options: MeasureOptions, progress: Progress
) -> Comparison:
    from feasibility.compare.changed_models import changed_subjects
    from feasibility.compare.compare_models import compare_subjects

    path = _only(subjects, "changes", "--changes as-is,optimizer-off,int8-dynamic")
    with changed_subjects(path, texts.split(","), options) as forms:
        return compare_subjects(forms, options, options.threads, progress)


def _only(subjects: Sequence[Path | Profile], kind: str, example: str) -> Path:
    """The one model that is given.

    Raises:
        UsageError: No model, several, or a profile are given.
    """
    if len(subjects) == 1 and isinstance(subjects[0], Path):
        return subjects[0]
    raise UsageError(
        f"Cannot compare {kind}",
        f"{len(subjects)} models are given" if len(subjects) > 1 else "no model is given",
        f"give one model: feasibility compare MODEL {example}",
    )


def _subjects(given: Sequence[Path | Profile]) -> list[Subject]:
    """What each path is; all are looked at before anything is measured."""
    from feasibility.commands.profiles_of_path import is_document, saved_profile
    from feasibility.compare.subjects import folder_subject, model_subject, profile_subject

    found = []
    for path in given:
        if not isinstance(path, Path):
            found.append(profile_subject(Path(path.model.name), path))
        elif path.is_dir():
            found.append(folder_subject(path))
        elif is_document(path):
            found.append(profile_subject(path, saved_profile(path)))
        else:
            found.append(model_subject(path))
    return found
