"""What lies in `reports/` is what the code makes of the recorded profiles today."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
HOW_TO = "run: python -m benchmarks.record_reports --render"


@pytest.fixture(scope="module")
def record_reports() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT)
        return importlib.import_module("benchmarks.record_reports")


@pytest.fixture(scope="module")
def rendered(record_reports: ModuleType) -> dict[str, bytes]:
    return record_reports.render_reports(record_reports.recorded_profiles())


def test_reports_are_those_of_the_recorded_profiles(rendered: dict[str, bytes]):
    stored = {path.name: path.read_bytes() for path in (ROOT / "reports").iterdir()}
    stored.pop("README.md")
    assert stored.keys() == rendered.keys(), HOW_TO
    for name, content in rendered.items():
        assert stored[name].decode() == content.decode(), f"{name} is out of date; {HOW_TO}"


def test_pictures_fetch_nothing(rendered: dict[str, bytes]):
    """A report may be opened where there is no network, and must not tell anyone that it was."""
    for name, content in rendered.items():
        if name.endswith(".svg"):
            outside = re.findall(r"@import|href|src:|url\((?!#)", content.decode())
            assert outside == []


def test_text_reports_fit_eighty_columns(rendered: dict[str, bytes]):
    for name, content in rendered.items():
        if name.endswith(".txt"):
            assert max(map(len, content.decode().splitlines())) <= 80


def test_recorded_profiles_tell_nothing_of_the_machines_folders(record_reports: ModuleType):
    for profile in record_reports.recorded_profiles():
        assert profile.model.path == profile.model.name


def test_the_readme_shows_a_report_as_it_is():
    """A newcomer's first screen is real output of today's code."""
    readme = (ROOT / "README.md").read_text()
    shown = readme.partition("<!-- report: check-resnet101.txt -->\n```\n")[2]
    report = (ROOT / "reports" / "check-resnet101.txt").read_text().rstrip("\n")
    assert shown.partition("\n```\n<!-- /report -->")[0] == report


def test_the_documents_link_to_files_that_exist():
    """Every relative link in the documentation leads somewhere."""
    for page in (ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")), ROOT / "ARCHITECTURE.md"):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
