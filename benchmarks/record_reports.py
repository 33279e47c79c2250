"""Records profiles of the demo's architectures, and renders `reports/` from recorded ones.

    python -m benchmarks.record_reports             # measure, write profiles/zoo/, render
    python -m benchmarks.record_reports --render    # render only, from what is recorded

Rendering depends on nothing but the profiles, the device files and the code, so that a test
can do it again and compare.
"""

from __future__ import annotations

import contextlib
import io
import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from rich.console import Console

from feasibility import __version__
from feasibility.catalogue.load_catalogue import find_device, load_catalogue
from feasibility.commands.demo import DEVICE_IDS
from feasibility.decide.recommendation import assess_model
from feasibility.decide.requirements import Requirements
from feasibility.json_documents import encode, read_document
from feasibility.measure.measure_model import measure_model
from feasibility.paths import devices_dir
from feasibility.records.assessment import Assessment
from feasibility.records.profile import Profile
from feasibility.render.html.page import render_page
from feasibility.render.reports.assessment_texts import with_sentences
from feasibility.render.reports.check import check_report
from feasibility.render.reports.measure import measure_report
from feasibility.render.terminal.layout import print_report
from feasibility.zoo import architectures as zoo

ROOT = Path(__file__).parent.parent
PROFILES = ROOT / "profiles" / "zoo"
REPORTS = ROOT / "reports"
NAMES = tuple(entry.name for entry in zoo.entries() if entry.in_demo)
FIRST_SCREEN = "resnet101"
WIDTH = 80

# Rich's picture fetches its font from a server; a report must not.
FONT_SOURCES = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def main() -> None:
    """Records unless told to render only, then renders."""
    if sys.argv[1:] != ["--render"]:
        for name in NAMES:
            record(name)
    REPORTS.mkdir(exist_ok=True)
    for file_name, content in render_reports(recorded_profiles()).items():
        (REPORTS / file_name).write_bytes(content)
        print(f"reports/{file_name}")


def record(name: str) -> None:
    """Measures one architecture into `profiles/zoo/`, without a path of this machine."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        path = zoo.build(name, folder=Path(folder))
        profile = measure_model(path.relative_to(folder))
    PROFILES.mkdir(exist_ok=True)
    (PROFILES / f"{name}.json").write_bytes(encode(profile))
    print(f"profiles/zoo/{name}.json")


def recorded_profiles() -> tuple[Profile, ...]:
    """The profiles that were recorded, in the demo's order."""
    return tuple(read_document(PROFILES / f"{name}.json", Profile) for name in NAMES)


def render_reports(profiles: Sequence[Profile]) -> dict[str, bytes]:
    """Every report by its file name."""
    assessment = assess(profiles)
    (first,) = (
        each for each in assessment.models if each.profile.model.name.startswith(FIRST_SCREEN)
    )
    only_first = msgspec.structs.replace(assessment, models=(first,))
    files = {"demo.json": encode(assessment), "demo.html": render_page([assessment])}
    for name, title, render in (
        ("demo", "feasibility demo", lambda c: print_report(c, check_report(assessment))),
        (
            f"check-{FIRST_SCREEN}",
            f"feasibility check {FIRST_SCREEN}.onnx",
            lambda c: print_report(c, check_report(only_first)),
        ),
        (
            f"measure-{FIRST_SCREEN}",
            f"feasibility measure {FIRST_SCREEN}.onnx --details",
            lambda c: print_report(c, measure_report(first.profile, details=True)),
        ),
    ):
        files[f"{name}.txt"] = text_of(render)
        files[f"{name}.svg"] = svg_of(render, title)
    return files


def assess(profiles: Sequence[Profile]) -> Assessment:
    """The demo's verdicts on its devices."""
    catalogue = load_catalogue(devices_dir())
    devices = [find_device(device_id, catalogue) for device_id in DEVICE_IDS]
    models = tuple(
        with_sentences(assess_model(profile, devices, Requirements())) for profile in profiles
    )
    return Assessment(tool_version=__version__, models=models)


def text_of(render: Callable[[Console], None]) -> bytes:
    """The report as it looks in a pipe."""
    console = make_console(color_system=None)
    render(console)
    return console.export_text().encode()


def svg_of(render: Callable[[Console], None], title: str) -> bytes:
    """The report as it looks on a terminal, as a picture."""
    console = make_console(color_system="truecolor")
    render(console)
    picture = console.export_svg(title=title, unique_id="report")
    return (FONT_SOURCES.sub("", picture) + "\n").encode()


def make_console(color_system: str | None) -> Console:
    """A console that depends on nothing around it, and keeps what is printed."""
    return Console(
        file=io.StringIO(),
        record=True,
        width=WIDTH,
        color_system=color_system,
        force_terminal=color_system is not None,
        legacy_windows=False,
        highlight=False,
        markup=False,
        emoji=False,
        _environ={},
    )


if __name__ == "__main__":
    main()
