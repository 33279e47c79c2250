"""What does `feasibility demo` do? Runs `check` on reference architectures of the zoo."""

from __future__ import annotations

from typing import Final

from feasibility.commands.check import assess_paths
from feasibility.commands.option_groups import CommandApp
from feasibility.commands.options import DetailsOption, QuietOption
from feasibility.commands.output import print_result
from feasibility.commands.progress import progress_on
from feasibility.errors import EXIT_CANNOT_DO, EXIT_OK

app = CommandApp()

# A phone, two boards and a server.
DEVICE_IDS: Final = ["galaxy_s24", "rpi_zero2w", "rpi_4b", "rtx_3070"]


@app.add_command()
def demo(*, details: DetailsOption = False, quiet: QuietOption = False) -> int:
    """Check bundled reference architectures against a phone, two boards and a server.

    Builds YAMNet, ResNet-18, MiniLM-L6 and ResNet-101 with random weights in the user's
    cache folder, then checks them as `feasibility check` does. No model file or download
    needed.
    """
    from feasibility.catalogue.load_catalogue import chosen_devices
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
    assessment = assess_paths(
        paths, devices, options=MeasureOptions(), requirements=Requirements(), quiet=quiet
    )
    print_result(assessment, lambda: check_report(assessment, details=details))
    return EXIT_CANNOT_DO if assessment.errors else EXIT_OK
