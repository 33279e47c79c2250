"""Which published rows is each formula fitted to?"""

from __future__ import annotations

from typing import Final, NamedTuple

from feasibility.predict.validation.cases import (
    Case,
    GpuCase,
    PublishedTables,
    cpu_case,
    gpu_case,
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
    gpu: tuple[GpuCase, ...]


def read_fit_rows(tables: PublishedTables | None = None) -> FitRows:
    """The rows of the published tables, by formula.

    Raises:
        FeasibilityError: A table cannot be read.
    """
    tables = tables or published_tables()
    rows = [(row, cpu_case(row, tables)) for row in tables.rows]
    gpu = (gpu_case(row, tables) for row in tables.rows if row.split in ("gpu", _CALIBRATION))
    return FitRows(
        row_count=len(tables.rows),
        floats=tuple(
            case for row, case in rows
            if case is not None and row.split == _CALIBRATION and not is_int8(row)
        ),
        int8=tuple(
            case for row, case in rows
            if case is not None
            and row.split in ("int8", _CALIBRATION)
            and row.precision.startswith("int8")
        ),
        gpu=tuple(case for case in gpu if case is not None),
    )  # fmt: skip
