"""What does `feasibility schema` do? Prints the JSON Schema of a document."""

from __future__ import annotations

from typing import Annotated

from feasibility.commands.option_groups import CommandApp, argument
from feasibility.commands.output import write_bytes

app = CommandApp()


@app.add_command()
def schema(
    name: Annotated[
        str | None, argument("NAME", "Name of a document; default: list all names.")
    ] = None,
) -> None:
    """Print the JSON Schema of a document. The schema explains each field in one sentence."""
    import msgspec

    from feasibility.json_documents import DOCUMENTS, json_schema

    if name is None:
        write_bytes("".join(f"{document}\n" for document in DOCUMENTS).encode())
        return
    document = msgspec.json.format(msgspec.json.encode(json_schema(name)), indent=2)
    write_bytes(document + b"\n")
