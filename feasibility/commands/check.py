"""What does `feasibility check` do? Gives a verdict per device and one recommendation."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

from feasibility import __version__
from feasibility.commands.check_options import (
    NetworkOptions,
    PlaceOptions,
    RequiredVerdict,
    TargetOptions,
    read_requirements,
    with_prices_by_id,
)
from feasibility.commands.option_groups import CommandApp, argument
from feasibility.commands.options import (
    InputOptions,
    MeasuringOptions,
    OnOption,
    ReportOptions,
    measure_options,
)
from feasibility.commands.output import open_output, print_result
from feasibility.commands.progress import report_step
from feasibility.commands.report_error import report_failure, report_message
from feasibility.errors import EXIT_CANNOT_DO, EXIT_OK, EXIT_REQUIREMENT_NOT_MET
from feasibility.text import safe_text

if TYPE_CHECKING:
    from feasibility.decide.requirements import Requirements
    from feasibility.measure.measure_options import MeasureOptions
    from feasibility.records.assessment import Assessment, ModelAssessment
    from feasibility.records.device import Device

app = CommandApp()


@app.add_command()
def check(
    models: Annotated[
        list[Path],
        argument(
            "MODEL",
            ".onnx and .ort files, profiles that `measure -o` saved (.json), and reports "
            "of other programs.",
        ),
    ],
    *,
    targets: TargetOptions,
    places: PlaceOptions,
    cloud: NetworkOptions,
    inputs: InputOptions,
    on: OnOption = None,
    measuring: MeasuringOptions,
    out: ReportOptions,
) -> int:
    """Check where models can run: a verdict per device and one recommendation.

    Default devices: a budget phone and a flagship phone, Raspberry Pi 4 and 5, and an RTX
    server. A verdict of "does not fit" is a result: the exit code stays 0 unless --require
    is given. With --on emulate:aarch64, Arm code runs in an emulator to measure the memory
    for Arm devices; later checks of the model reuse these figures. Times are always measured
    on this machine.
    --details also compares all devices: time with the network, energy, cost, bytes sent.
    """
    threads = measuring_threads(places.threads, on)
    options = measure_options(inputs, measuring, threads)
    requirements = read_requirements(targets, places, cloud)
    if places.prove:
        from feasibility.commands.prove_on_devices import refuse_saved

        refuse_saved(models, on)
    from feasibility.catalogue.load_catalogue import chosen_devices

    devices = chosen_devices(places.device)
    requirements = with_prices_by_id(requirements, devices)
    if places.measured is not None:
        from feasibility.commands.measured_times import with_measured

        devices = with_measured(
            devices, places.measured, threads=places.threads, runtime=places.runtime
        )
    with open_output(out.output, force=out.force) as file:
        from feasibility.render.reports.check import check_report

        assessment = assess_paths(
            models,
            devices,
            options=options,
            requirements=requirements,
            on=on,
            prove=places.prove,
            quiet=out.quiet,
        )
        print_result(
            assessment,
            lambda: check_report(assessment, details=out.details),
            as_json=out.json,
            output=file,
        )
    return _exit_code(assessment, targets.require, quiet=out.quiet)


def assess_paths(
    paths: Iterable[Path],
    devices: Sequence[Device],
    *,
    options: MeasureOptions,
    requirements: Requirements,
    on: str | None = None,
    prove: bool = False,
    quiet: bool,
) -> Assessment:
    """Assessment of all models; the error of a model is printed and the others go on."""
    import msgspec

    from feasibility.commands.profiles_of_path import is_document, profiles_for
    from feasibility.commands.prove_on_devices import with_proofs
    from feasibility.decide.recommendation import assess_model
    from feasibility.records.assessment import Assessment, Failure
    from feasibility.render.reports.assessment_texts import with_sentences
    from feasibility.render.reports.check import headline
    from feasibility.runners.engines import other_engines

    paths = tuple(paths)
    models: list[ModelAssessment] = []
    failures: list[Failure] = []
    for path in paths:
        try:
            profile, emulated = profiles_for(path, devices, options, on, quiet=quiet)
            model = with_sentences(assess_model(profile, devices, requirements, emulated))
            if not is_document(path):
                others = other_engines(profile.model.format)
                model = msgspec.structs.replace(model, other_engines=others)
            if prove:
                model = with_proofs(path, model, devices, options, quiet=quiet)
        except Exception as raised:  # noqa: BLE001 (the other models are still checked)
            error = report_failure(raised)
            failures.append(Failure(path=str(path), message=error.message, hint=error.hint))
            continue
        models.append(model)
        # One line per model, because the report comes last. A saved profile is assessed at
        # once: its line would only repeat the report.
        if len(paths) > 1 and path.suffix != ".json" and not quiet:
            report_step(model.profile.model.name, headline(model)[0])
    return Assessment(tool_version=__version__, models=tuple(models), errors=tuple(failures))


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


def measuring_threads(asked: int | None, on: str | None) -> int:
    """Threads to measure with: the asked number, on this machine at most its core count.

    More threads than cores would share cores, and their times would not hold for any device.
    """
    if asked is None or on is not None:
        return asked or 1
    return min(asked, len(os.sched_getaffinity(0)))


def _exit_code(assessment: Assessment, require: RequiredVerdict | None, *, quiet: bool) -> int:
    if assessment.errors:
        return EXIT_CANNOT_DO
    missed = unmet(assessment, require) if require is not None else ()
    if missed and not quiet:
        report_message("not met", f"--require {require}: {'; '.join(missed)}")
    return EXIT_REQUIREMENT_NOT_MET if missed else EXIT_OK
