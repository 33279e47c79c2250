"""How does a record become rows of a table, for example for pandas? And its HTML in a notebook."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import msgspec


class Shown:
    """A document that a notebook shows, and whose figures can become a table.

    `render/notebook.py` adds to `views` what a notebook shows for a kind of document.
    """

    __slots__ = ()

    views: ClassVar[dict[type, Callable[[Any], str]]] = {}

    def _repr_html_(self) -> str | None:
        """HTML for a notebook; None leaves the choice to the notebook."""
        view = self.views.get(type(self))
        return None if view is None else view(self)

    def to_rows(self, part: str = "") -> list[dict[str, Any]]:
        """Rows for `pandas.DataFrame`: the usual ones, or one per record of a part.

        The names are those of the JSON document, joined by underscores. Lists of records are
        left out: they are parts.

        Args:
            part: Name of a list of records in the document, for example "operators".

        Raises:
            ValueError: The document has no such list.
        """
        if not part:
            return self._usual_rows()
        records = getattr(self, part, None)
        if not isinstance(records, tuple) or not all(map(_is_record, records)):
            raise ValueError(f"there is no list of records {part!r} in this document")
        return [figures_of(each) for each in records]

    def _usual_rows(self) -> list[dict[str, Any]]:
        """One row with all figures of the document; kinds of documents may have others."""
        return [figures_of(self)]


def figures_of(record: object, prefix: str = "") -> dict[str, Any]:
    """Names and values of a record, those of records and mappings in it after their own names."""
    return dict(_figures(record, prefix))


def _figures(value: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    if _is_record(value):
        value = {name: getattr(value, name) for name in value.__struct_fields__}
    for name, each in value.items():
        if _is_record(each) or isinstance(each, dict):
            yield from _figures(each, f"{prefix}{name}_")
        elif not (isinstance(each, tuple) and any(map(_is_record, each))):
            yield f"{prefix}{name}", each


def _is_record(value: object) -> bool:
    return isinstance(value, msgspec.Struct)
