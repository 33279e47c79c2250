"""What does a reader process do with a request? All ways to read a model use this module."""

from __future__ import annotations

from pathlib import Path

from feasibility.model_file.open_model import ModelFile
from feasibility.records.model_reading import ModelReading, ReadRequest


def answer(request: ReadRequest, file: ModelFile) -> ModelReading | tuple[str, ...]:
    """The answer to a request about an open model file."""
    from feasibility.facts.model_facts import locations_of, reading_of

    if request.only_locations:
        return locations_of(file, must_exist=request.must_exist)
    return reading_of(
        file,
        request.dims,
        with_plans=request.with_plans,
        files={name: Path(path) for name, path in request.input_files.items()},
        archive=None if request.archive is None else Path(request.archive),
        all_changes=request.all_changes,
    )
