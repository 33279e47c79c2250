"""How are a device file and its anchors written, so that reading gives the same device?"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any, Final

import tomli_w

from feasibility.catalogue.figures import Quantity, entries
from feasibility.catalogue.read_device_file import SCHEMA
from feasibility.records.device import UNVERIFIED, Anchor, Device, Figure, Grant
from feasibility.records.shared_fields import Record
from feasibility.text import safe_text

_ANCHORS_HEADER: Final = "\n[[anchors]]"


def device_text(device: Device, source_keys: Mapping[str, str], comment: str = "") -> str:
    """Text of a device file, with short names for these sources; other sources are numbered."""
    sources = _Sources(source_keys)
    table = sources.table(device, "anchors", "origin")
    head = "".join(f"# {line}".rstrip() + "\n" for line in comment.splitlines())
    plain = {key: value for key, value in table.items() if not isinstance(value, dict)}
    document = {"schema": SCHEMA, **plain, "sources": sources.used, **table}
    text = f"{head}\n{tomli_w.dumps(document)}" if head else tomli_w.dumps(document)
    return with_anchors(_utf8(text), device.anchors)


def with_anchors(text: str, anchors: Iterable[Anchor]) -> str:
    """The text of a device file with these anchors in place of its own.

    Anchors are the end of the file, because only this function writes them. The rest of the
    text, comments included, stays as it is.
    """
    body = text.partition(_ANCHORS_HEADER)[0].rstrip("\n") + "\n"
    tables = [
        {key: safe_text(value, 200) if isinstance(value, str) else value for key, value in each}
        for each in (_Sources({}).table(anchor).items() for anchor in anchors)
    ]
    return f"{body}\n{_utf8(tomli_w.dumps({'anchors': tables}))}" if tables else body


class _Sources:
    """Turns figures into tables and gives each source a short name."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._keys = keys
        self._numbers = itertools.count(1)
        self.used: dict[str, str] = {}
        self._key_of: dict[str, str] = {UNVERIFIED: UNVERIFIED}

    def figure(self, figure: Figure, quantity: Quantity) -> dict[str, object]:
        """The table of a figure."""
        if figure.source not in self._key_of:
            key = self._keys.get(figure.source) or f"source{next(self._numbers)}"
            self._key_of[figure.source] = key
            self.used[key] = figure.source
        value = quantity.form.text(figure.value)
        table = {"value": value, "source": self._key_of[figure.source]}
        return {**table, "note": figure.note} if figure.note else table

    def table(self, record: Record, *left_out: str) -> dict[str, Any]:
        """The table of a record, without these fields and what is not known."""
        table: dict[str, Any] = {}
        for entry in entries(type(record)):
            value = getattr(record, entry.field)
            if entry.field in left_out or value is None or value == ():
                continue
            if entry.key == "value":
                table |= self.figure(value, entry.quantity)
            else:
                table[entry.key] = self._value(value, entry.quantity)
        return table

    def _value(self, value: Any, quantity: Any) -> object:
        if isinstance(value, Figure):
            return self.figure(value, quantity)
        if isinstance(value, Record):
            return self.table(value)
        if isinstance(value, Mapping):
            return {key: self._value(item, quantity) for key, item in value.items()}
        if isinstance(value, tuple) and isinstance(value[0], Grant):
            return {grant.role: self.table(grant, "role") for grant in value}
        if isinstance(value, tuple):
            return [self._value(item, quantity) for item in value]
        return value if quantity is None else quantity.form.text(value)


def _utf8(text: str) -> str:
    """The text without lone surrogates, which a UTF-8 file cannot hold."""
    return text.encode("utf-8", "replace").decode()
