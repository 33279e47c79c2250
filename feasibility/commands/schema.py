"""`feasibility schema`: the JSON Schema of a document."""

from __future__ import annotations

from typing import Annotated

import typer

from feasibility.commands.output import write_bytes

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def schema(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="A document; all their names if left out."),
    ] = None,
) -> None:
    """Print the JSON Schema of a document, every field described in a sentence."""
    import msgspec

    from feasibility.schema import DOCUMENTS, json_schema

    if name is None:
        write_bytes("".join(f"{document}\n" for document in DOCUMENTS).encode())
        return
    document = msgspec.json.format(msgspec.json.encode(json_schema(name)), indent=2)
    write_bytes(document + b"\n")
