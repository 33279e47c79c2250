"""The files that a child reads: the model, its external data and the arrays of its inputs."""

from __future__ import annotations

import posixpath
from pathlib import Path

from feasibility.errors import ModelError
from feasibility.measure.measure_options import MeasureOptions
from feasibility.model_file.external_data import resolve_external
from feasibility.model_file.open_model import open_model
from feasibility.model_file.skeleton import skeleton_of
from feasibility.runners.runner import StagedFile
from feasibility.text import safe_text

_MODEL_FOLDER = "model"


def files_to_stage(path: Path, options: MeasureOptions) -> tuple[StagedFile, ...]:
    """What has to be copied to a machine where the model is to run.

    Args:
        path: The model.
        options: May name files of inputs.

    Raises:
        ModelError: The file is no model, or its external data is not there.
    """
    files = [StagedFile(path.absolute(), f"{_MODEL_FOLDER}/{path.name}")]
    files += _external_files(path)
    inputs = [*options.input_files.values(), *filter(None, [options.inputs_archive])]
    for number, file in enumerate(inputs):
        files.append(StagedFile(file.absolute(), f"inputs/{number}{file.suffix}"))
    return tuple(files)


def _external_files(path: Path) -> list[StagedFile]:
    with open_model(path) as file:
        if file.format == "ort":
            return []
        skeleton = skeleton_of(file)
    found = []
    for location, resolved in resolve_external(path, skeleton.tensors, skeleton.what).items():
        name = posixpath.normpath(f"{_MODEL_FOLDER}/{location}")
        if not name.startswith(f"{_MODEL_FOLDER}/"):
            raise ModelError(
                skeleton.what,
                f"its external data {safe_text(location)!r} lies outside the folder that is copied",
                "save the model again with its data beside it",
            )
        found.append(StagedFile(resolved.path, name))
    return found
