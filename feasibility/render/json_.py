"""How is a result written as JSON? As the record itself, in one document."""

from __future__ import annotations

import msgspec

from feasibility.schema import encode


def render_json(record: msgspec.Struct) -> bytes:
    """The record as one JSON document in UTF-8, a newline at its end."""
    return encode(record)
