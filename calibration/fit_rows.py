"""Which published rows is each formula fitted to, and why are the others left out?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from feasibility.predict.validation.cases import (
    Case,
    PublishedTables,
    case_of,
    is_int8,
    published_tables,
)
from feasibility.predict.validation.row_remarks import Remark
from feasibility.predict.validation.rows_report import DEFAULT_THREADS, unsuitable


class FitRows(NamedTuple):
    """The rows of the published tables that can be projected.

    Attributes:
        row_count: All rows of the table.
        left_out: Rows that are not projected, by reason.
        notes: Remarks on projected rows, with the number of rows.
        floats: CPU rows in fp32 and fp16.
        int8: CPU rows in int8.
        gpu: GPU rows in fp32 and fp16.
    """

    row_count: int
    left_out: Mapping[str, int]
    notes: Mapping[str, int]
    floats: tuple[Case, ...]
    int8: tuple[Case, ...]
    gpu: tuple[Case, ...]


def read_fit_rows(tables: PublishedTables | None = None) -> FitRows:
    """The rows of the published tables, by formula."""
    tables = tables or published_tables()
    found = [unsuitable(row) or case_of(row, tables) for row in tables.rows]
    left_out = Counter(one.text for one in found if isinstance(one, Remark))
    cases = [one for one in found if isinstance(one, Case)]
    cpu = [case for case in cases if not case.is_gpu]
    return FitRows(
        row_count=len(tables.rows),
        left_out=dict(left_out.most_common()),
        notes={DEFAULT_THREADS: sum(case.row.is_default_threads for case in cpu)},
        floats=tuple(case for case in cpu if not is_int8(case.row)),
        int8=tuple(case for case in cpu if is_int8(case.row)),
        gpu=tuple(case for case in cases if case.is_gpu),
    )
