"""Which published rows is each formula fitted to?"""

from __future__ import annotations

from typing import Final, NamedTuple

from feasibility.predict.validation.cases import (
    Case,
    PublishedTables,
    case_of,
    is_int8,
    published_tables,
)

_CALIBRATION: Final = "calib"


class FitRows(NamedTuple):
    """The rows of the published tables that can be projected.

    Attributes:
        row_count: All rows of the table.
        floats: CPU rows in fp32 and fp16.
        int8: CPU rows in int8.
        gpu: GPU rows in fp32 and fp16.
    """

    row_count: int
    floats: tuple[Case, ...]
    int8: tuple[Case, ...]
    gpu: tuple[Case, ...]


def read_fit_rows(tables: PublishedTables | None = None) -> FitRows:
    """The rows of the published tables, by formula."""
    tables = tables or published_tables()
    projected = (case_of(row, tables) for row in tables.rows)
    cases = [case for case in projected if isinstance(case, Case)]
    cpu = [case for case in cases if not case.is_gpu]
    return FitRows(
        row_count=len(tables.rows),
        floats=tuple(
            case for case in cpu if case.row.split == _CALIBRATION and not is_int8(case.row)
        ),
        int8=tuple(
            case for case in cpu
            if case.row.split in ("int8", _CALIBRATION) and case.row.precision.startswith("int8")
        ),
        gpu=tuple(
            case for case in cases if case.is_gpu and case.row.split in ("gpu", _CALIBRATION)
        ),
    )  # fmt: skip
