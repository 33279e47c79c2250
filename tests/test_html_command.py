"""`--html` and `feasibility report`: where the page goes, and what stops it before measuring."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from feasibility.errors import EXIT_CANNOT_DO, EXIT_OK, DocumentError
from feasibility.json_documents import encode, read_any_document
from feasibility.records.assessment import Assessment
from feasibility.render.html.blocks import RECORD_TYPES
from tests import samples
from tests.cli import Result, Stages, cli, stages
from tests.html_samples import read_page, records

__all__ = ["cli", "stages"]

Cli = Callable[..., Result]


@pytest.mark.parametrize("command", ["measure", "check", "inspect"])
def test_a_command_writes_the_page_and_its_report(
    cli: Cli, stages: Stages, tmp_path: Path, command: str
) -> None:
    plain = cli(command, "m.onnx", "-q")
    result = cli(command, "m.onnx", "-q", "--html", tmp_path / "m.html")
    assert (result.code, result.out) == (plain.code, plain.out) == (EXIT_OK, plain.out)
    assert "resnet101.onnx" in read_page((tmp_path / "m.html").read_bytes()).text


def test_document_and_page_are_written_together(cli: Cli, stages: Stages, tmp_path: Path) -> None:
    page, document = tmp_path / "m.html", tmp_path / "m.json"
    assert cli("measure", "m.onnx", "-q", "-o", document, "--html", page).code == EXIT_OK
    assert document.read_bytes().startswith(b"{")
    assert page.read_bytes().startswith(b"<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("", "it exists and is not a regular file"),
        ("missing/m.html", "no such file or directory"),
        ("there.html", "the file exists"),
        ("m.json", "--output and --html name the same file"),
    ],
)
def test_a_page_that_cannot_be_written_stops_before_measuring(
    cli: Cli, stages: Stages, tmp_path: Path, place: str, why: str
) -> None:
    """One error, nothing measured, and nothing left behind."""
    (tmp_path / "there.html").write_text("mine")
    result = cli("measure", "m.onnx", "-o", tmp_path / "m.json", "--html", tmp_path / place)
    assert result.code == EXIT_CANNOT_DO
    assert why in result.err
    assert result.err.count("error:") == 1
    assert stages.measured == []
    assert [path.name for path in tmp_path.iterdir()] == ["there.html"]
    assert (tmp_path / "there.html").read_text() == "mine"


def test_a_dash_is_not_a_file(cli: Cli, stages: Stages) -> None:
    result = cli("measure", "m.onnx", "--html", "-")
    assert result.code == EXIT_CANNOT_DO
    assert "--html needs the name of a file" in result.err
    assert stages.measured == []


def test_force_replaces_a_page(cli: Cli, stages: Stages, tmp_path: Path) -> None:
    page = tmp_path / "m.html"
    page.write_text("old")
    assert cli("measure", "m.onnx", "-q", "--html", page, "--force").code == EXIT_OK
    assert page.read_bytes().startswith(b"<!DOCTYPE html>")


def test_a_failed_measurement_leaves_no_page(cli: Cli, stages: Stages, tmp_path: Path) -> None:
    assert cli("measure", "broken.onnx", "-q", "--html", tmp_path / "m.html").code == EXIT_CANNOT_DO
    assert list(tmp_path.iterdir()) == []


def test_saved_documents_become_one_page(cli: Cli, tmp_path: Path) -> None:
    """Documents of every kind, in the order of the command line."""
    paths = []
    for name, record in records().items():
        paths.append(tmp_path / f"{name}.json")
        paths[-1].write_bytes(encode(record))
    result = cli("report", *paths, "--html", tmp_path / "all.html")
    assert (result.code, result.err) == (EXIT_OK, "")
    assert result.out == f"{tmp_path / 'all.html'} written\n"
    page = read_page((tmp_path / "all.html").read_bytes())
    blocks = [found for tag, found in page.tags if found.get("class") == "block"]
    assert len(blocks) == len(paths) + 3  # two models and the failures have blocks of their own


def test_report_needs_the_name_of_the_page(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(encode(samples.profile()))
    result = cli("report", tmp_path / "a.json")
    assert result.code == EXIT_CANNOT_DO
    assert "--html report.html" in result.err


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("not JSON", "it is not a document of this tool"),
        ('{"schema": "feasibility/runners/1"}', "it is 'feasibility/runners/1'"),
        ('{"schema": "feasibility/assessment/1"}', "an old version"),
        ('{"schema": "feasibility/fit/9"}', "written by a newer feasibility"),
        ('{"schema": "feasibility/profile/1"}', "it is not valid"),
    ],
)
def test_report_names_what_is_wrong_with_a_document(
    cli: Cli, tmp_path: Path, text: str, why: str
) -> None:
    (tmp_path / "a.json").write_text(text)
    result = cli("report", tmp_path / "a.json", "--html", tmp_path / "a.html")
    assert result.code == EXIT_CANNOT_DO
    assert why in result.err
    assert not (tmp_path / "a.html").exists()


def test_a_document_is_read_by_its_schema(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(encode(samples.assessment()))
    assert isinstance(read_any_document(path, RECORD_TYPES), Assessment)
    with pytest.raises(DocumentError, match="No such file"):
        read_any_document(tmp_path / "none.json", RECORD_TYPES)
