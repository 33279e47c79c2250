"""What does `feasibility demo` do? Runs `check` on reference architectures of the zoo."""

from __future__ import annotations

from typing import Annotated, Final

from feasibility.commands.option_groups import CommandApp, single_option
from feasibility.commands.options import DetailsOption, QuietOption
from feasibility.commands.output import print_result, stdout_console
from feasibility.commands.progress import progress_on, watch_on_stderr
from feasibility.commands.report_error import report_failure
from feasibility.errors import EXIT_CANNOT_DO, EXIT_OK

app = CommandApp()

# A phone, two boards and a server.
DEVICE_IDS: Final = ["galaxy_s24", "rpi_zero2w", "rpi_4b", "rtx_3070"]
# A phone and a board, for `--full`.
FULL_DEVICE_IDS: Final = ("galaxy_s24", "rpi_4b")


@app.add_command()
def demo(
    *,
    full: Annotated[
        bool,
        single_option(
            "--full",
            "Measure the systems of docs/systems.md. Show the published figures, the figures here, "
            "the projections for the published hardware, and verdicts. Takes a few minutes and "
            "2 GB of disk.",
        ),
    ] = False,
    details: DetailsOption = False,
    quiet: QuietOption = False,
) -> int:
    """Check bundled reference architectures against a phone, two boards and a server.

    Builds YAMNet, ResNet-18, MiniLM-L6 and ResNet-101 with random weights in the user's
    cache folder, then checks them as `feasibility check` does. No model file or download
    needed.

    --full measures the sound, sentence and image models that other people measured by hand
    (docs/systems.md).
    """
    if full:
        return _full(quiet=quiet)
    from feasibility.catalogue.load_catalogue import chosen_devices
    from feasibility.commands.assess_models import Question, assess_models
    from feasibility.commands.profiles_of_path import ProfileSource
    from feasibility.decide.requirements import Requirements
    from feasibility.measure.measure_options import MeasureOptions
    from feasibility.render.reports.check import check_report
    from feasibility.zoo.architectures import build, entries

    devices = chosen_devices(DEVICE_IDS)
    shown = [entry for entry in entries() if entry.in_demo]
    paths = []
    for entry in shown:
        with progress_on(entry.title, quiet=quiet) as progress:
            progress(0, 1, "building")
            paths.append(build(entry.name))
    question = Question(
        devices=devices,
        requirements=Requirements(),
        source=ProfileSource(options=MeasureOptions()),
    )
    assessment = assess_models(paths, question, watch_on_stderr(quiet=quiet))
    print_result(assessment, lambda: check_report(assessment, details=details))
    return EXIT_CANNOT_DO if assessment.errors else EXIT_OK


def _full(*, quiet: bool) -> int:
    """Measures the systems of all documents, one after the other; those that fail are left out."""
    from feasibility.catalogue.load_catalogue import load_catalogue
    from feasibility.measure.measure_model import measure_briefly
    from feasibility.measure.measure_options import MeasureOptions
    from feasibility.paths import devices_dir
    from feasibility.records.profile import Profile
    from feasibility.render.reports.systems import systems_report
    from feasibility.render.terminal.layout import print_report
    from feasibility.systems.answers import answered
    from feasibility.systems.documents import DOCUMENTS
    from feasibility.zoo.architectures import build

    systems = [
        system for document in DOCUMENTS for system in document.systems if system.change is None
    ]
    profiles: dict[str, Profile] = {}
    for number, system in enumerate(systems, 1):
        with progress_on(f"{number} of {len(systems)}: {system.title}", quiet=quiet) as progress:
            progress(0, 1, "building")
            try:
                path = build(system.network)
                profiles[system.id] = measure_briefly(
                    path, MeasureOptions(dims=system.dims), progress
                )
            except Exception as raised:  # noqa: BLE001 (the other systems are still measured)
                report_failure(raised)
    if profiles:
        catalogue = load_catalogue(devices_dir())
        documents = [answered(each, profiles, catalogue, FULL_DEVICE_IDS) for each in DOCUMENTS]
        print_report(stdout_console(), systems_report(documents))
    return EXIT_OK if len(profiles) == len(systems) else EXIT_CANNOT_DO
