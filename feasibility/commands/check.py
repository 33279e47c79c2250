"""What does `feasibility check` do? Gives a verdict per device and one recommendation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias, get_args

from feasibility.commands.check_options import (
    NetworkOptions,
    PlaceOptions,
    RequiredVerdict,
    TargetOptions,
    read_requirements,
    with_prices_by_id,
)
from feasibility.commands.option_groups import CommandApp, argument, single_option
from feasibility.commands.options import (
    MEASURING,
    InputOptions,
    MeasuringOptions,
    OnOption,
    ReportOptions,
    measure_options,
)
from feasibility.commands.output import open_outputs, print_result
from feasibility.commands.progress import Watch, watch_on_stderr
from feasibility.commands.report_error import report_message
from feasibility.errors import EXIT_CANNOT_DO, EXIT_OK, EXIT_REQUIREMENT_NOT_MET, UsageError
from feasibility.system_differences import usable_core_count
from feasibility.text import safe_text

if TYPE_CHECKING:
    from feasibility.records.assessment import Assessment
    from feasibility.records.profile import Profile

app = CommandApp()

RequireOption: TypeAlias = Annotated[
    RequiredVerdict | None,
    single_option(
        "--require",
        "Exit with 1 if any verdict is worse; `undecided` is always worse.",
        heading=TargetOptions.heading,
    ),
]
StaticOption: TypeAlias = Annotated[
    bool,
    single_option(
        "--static",
        "Run nothing: memory is modelled from the graph, and times are projected.",
        heading=MEASURING,
    ),
]
JobsOption: TypeAlias = Annotated[
    int | None,
    single_option(
        "--jobs N",
        "With --static: models to read at the same time; default: number of cores.",
        min=1,
        heading=MEASURING,
    ),
]


@app.add_command()
def check(
    models: Annotated[
        list[Path],
        argument(
            "MODEL",
            ".onnx, .ort and .tflite files, profiles that `measure -o` or `check -o` saved "
            "(.json), and reports of other programs.",
        ),
    ],
    *,
    targets: TargetOptions,
    require: RequireOption = None,
    places: PlaceOptions,
    cloud: NetworkOptions,
    inputs: InputOptions,
    static: StaticOption = False,
    jobs: JobsOption = None,
    on: OnOption = None,
    measuring: MeasuringOptions,
    out: ReportOptions,
) -> int:
    """Check where models can run: a verdict per device and one recommendation.

    Default devices: a budget phone and a flagship phone, Raspberry Pi 4 and 5, and an RTX
    server. A verdict of "does not fit" is a result: the exit code stays 0 unless --require
    is given. With --on emulate:aarch64, Arm code runs in an emulator to measure the memory
    for Arm devices; later checks of the model reuse these figures. Times are always measured
    on this machine. With --static, nothing is run: figures are computed from the graph.
    --details also compares all devices: time with the network, energy, cost, bytes sent.
    """
    with open_outputs(out.output, out.html, force=out.force) as files:
        from feasibility.render.reports.check import check_report

        assessment = assessment_of(
            models,
            targets=targets,
            places=places,
            cloud=cloud,
            inputs=inputs,
            static=static,
            jobs=jobs,
            on=on,
            measuring=measuring,
            watch=watch_on_stderr(quiet=out.quiet),
        )
        print_result(
            assessment,
            lambda: check_report(assessment, details=out.details),
            as_json=out.json,
            output=files,
        )
    return _exit_code(assessment, require, quiet=out.quiet)


def unmet(assessment: Assessment, required: RequiredVerdict) -> tuple[str, ...]:
    """Models on devices with a worse verdict than this one, or killed by the device's limit."""
    ranked = get_args(RequiredVerdict)
    accepted = ranked[: ranked.index(required) + 1]
    missed = []
    for model in assessment.models:
        for item in model.devices:
            is_killed = item.proof is not None and item.proof.run.outcome == "killed"
            if is_killed or item.verdict not in accepted:
                how = "killed by its limit" if is_killed else item.verdict.replace("-", " ")
                missed.append(f"{safe_text(model.profile.model.name)} on {item.device}: {how}")
    return tuple(missed)


def assessment_of(
    models: Sequence[Path | Profile],
    *,
    targets: TargetOptions,
    places: PlaceOptions,
    cloud: NetworkOptions,
    inputs: InputOptions,
    static: StaticOption = False,
    jobs: JobsOption = None,
    on: OnOption = None,
    measuring: MeasuringOptions,
    watch: Watch,
) -> Assessment:
    """The assessment of models, saved assessments and profiles.

    Raises:
        FeasibilityError: An option is invalid, or contradicts another option.
        Exception: What `watch.failed` raises about one model.
    """
    if static:
        _refuse_options_of_runs(places, measuring, on)
    elif jobs is not None:
        raise UsageError(
            "Cannot use --jobs without --static",
            "a model that is measured needs the machine for itself",
            "leave out --jobs, or add --static to run nothing",
        )
    options = measure_options(inputs, measuring, measuring_threads(places.threads, on))
    requirements = read_requirements(targets, places, cloud)
    from feasibility.catalogue.load_catalogue import chosen_devices
    from feasibility.commands.assess_models import Question, assess_models
    from feasibility.commands.profiles_of_path import ProfileSource

    if places.prove:
        from feasibility.commands.prove_on_devices import refuse_saved

        refuse_saved(models, on)
    devices = chosen_devices(places.device)
    requirements = with_prices_by_id(requirements, devices)
    if places.measured is not None:
        from feasibility.commands.measured_times import with_measured

        devices = with_measured(
            devices, places.measured, threads=places.threads, runtime=places.runtime
        )
    question = Question(
        devices=devices,
        requirements=requirements,
        source=ProfileSource(options=options, on=on, is_static=static),
        job_count=jobs or usable_core_count(),
        prove=places.prove,
    )
    return assess_models(models, question, watch)


def _refuse_options_of_runs(
    places: PlaceOptions, measuring: MeasuringOptions, on: str | None
) -> None:
    given = {
        "--on": on is not None,
        "--prove": places.prove,
        "--warmup": measuring.warmup is not None,
        "--runs": measuring.runs is not None,
        "--provider": measuring.provider != MeasuringOptions().provider,
    }
    names = [name for name, is_given in given.items() if is_given]
    if names:
        raise UsageError(
            f"Cannot use {' and '.join(names)} with --static",
            "--static runs nothing",
            f"leave out --static to measure, or leave out {' and '.join(names)}",
        )


def measuring_threads(asked: int | None, on: str | None) -> int:
    """Threads to measure with: the asked number, on this machine at most its core count.

    More threads than cores would share cores, and their times would not hold for any device.
    """
    if asked is None or on is not None:
        return asked or 1
    return min(asked, usable_core_count())


def _exit_code(assessment: Assessment, require: RequiredVerdict | None, *, quiet: bool) -> int:
    if assessment.errors:
        return EXIT_CANNOT_DO
    missed = unmet(assessment, require) if require is not None else ()
    if missed and not quiet:
        report_message("not met", f"--require {require}: {'; '.join(missed)}")
    return EXIT_REQUIREMENT_NOT_MET if missed else EXIT_OK
