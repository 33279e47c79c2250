"""What does `feasibility report` do? Writes one HTML page of saved documents."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from feasibility.commands.option_groups import CommandApp, argument, single_option
from feasibility.commands.options import OUTPUT, ForceOption, QuietOption
from feasibility.commands.output import open_output, write_bytes
from feasibility.errors import UsageError

app = CommandApp()


@dataclass(frozen=True, slots=True, kw_only=True)
class PageOptions:
    """Where the page goes."""

    heading: ClassVar = OUTPUT

    html: Annotated[
        Path | None, single_option("--html FILE", "HTML file to write; opens offline.")
    ] = None
    force: ForceOption = False
    quiet: QuietOption = False


@app.add_command()
def report(
    documents: Annotated[
        list[Path],
        argument(
            "SAVED.json",
            "Documents that --json or -o of check, measure, prove, compare, fit, inspect or "
            "budget check wrote.",
        ),
    ],
    *,
    out: PageOptions,
) -> None:
    """Write one HTML page of saved documents.

    The page shows the documents in this order, with tables and plots. Nothing is measured.
    """
    if out.html is None:
        raise UsageError(
            "Cannot run `feasibility report`",
            "the name of the page is missing",
            "give it with --html, for example --html report.html",
        )
    with open_output(out.html, force=out.force, is_page=True) as file:
        assert file is not None
        from feasibility.json_documents import read_any_document
        from feasibility.render.html.blocks import RECORD_TYPES
        from feasibility.render.html.page import render_page
        from feasibility.render.reports.sections import name_text

        records = [read_any_document(path, RECORD_TYPES) for path in documents]
        file.write(render_page(records))
    if not out.quiet:
        write_bytes(f"{name_text(str(out.html), 200)} written\n".encode())
