"""Which files does a child read? The model, its external data and the arrays of its inputs."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from pathlib import Path

from feasibility.errors import ModelError
from feasibility.measure.measure_options import MeasureOptions
from feasibility.records.model_reading import ModelReading
from feasibility.runners.session import StagedFile
from feasibility.text import safe_text

_MODEL_FOLDER = "model"


def files_to_stage(reading: ModelReading, options: MeasureOptions) -> tuple[StagedFile, ...]:
    """The files to copy to a machine where the model is to run.

    Raises:
        ModelError: Its external data lies where it cannot be copied to.
    """
    path = Path(reading.facts.path)
    inputs = [*options.input_files.values(), *filter(None, [options.inputs_archive])]
    return (
        StagedFile(path.absolute(), f"{_MODEL_FOLDER}/{path.name}"),
        *_external_files(path, reading.external_locations),
        *(
            StagedFile(file.absolute(), f"inputs/{number}{file.suffix}")
            for number, file in enumerate(inputs)
        ),
    )


def _external_files(path: Path, locations: tuple[str, ...]) -> Iterator[StagedFile]:
    for location in locations:
        name = posixpath.normpath(f"{_MODEL_FOLDER}/{location}")
        if not name.startswith(f"{_MODEL_FOLDER}/"):
            raise ModelError(
                f"Cannot read model '{safe_text(str(path))}'",
                f"its external data {safe_text(location)!r} lies outside the folder that is copied",
                "save the model again with its data beside it",
            )
        yield StagedFile(Path(os.path.realpath(path.parent / location)), name)
