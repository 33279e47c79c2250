"""How is a graph read and written whose weights are in a file beside it?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from feasibility.model_file.external_data import LEAST_EXTERNAL_BYTES
from feasibility.model_file.open_model import open_model
from feasibility.model_file.skeleton import Skeleton, skeleton_of
from feasibility.rewrite.data_path import data_path
from feasibility.rewrite.forked.plan_weights import plan_weights
from feasibility.rewrite.write_planned import write_planned

if TYPE_CHECKING:
    from onnx import ModelProto

    from feasibility.model_file.open_model import ModelFile


def read_graph(path: Path) -> ModelProto:
    """The model; its weights are not read."""
    from onnx import ModelProto

    model = ModelProto()
    model.ParseFromString(path.read_bytes())
    return model


def write_graph(model: ModelProto, path: Path) -> None:
    """Writes a model whose weights are in memory or in files of the same folder."""
    import onnx

    onnx.save_model(
        model,
        path,
        save_as_external_data=True,
        location=data_path(path).name,
        size_threshold=LEAST_EXTERNAL_BYTES,
    )


def finish_graph(model: ModelProto, folder: Path, target: Path) -> None:
    """Writes a changed model; `folder` has files with its weights, if they are not in memory."""
    changed = folder / "changed.onnx"
    write_graph(model, changed)
    finish_file(changed, target)


def finish_file(changed: Path, target: Path) -> ModelProto:
    """Copies a model, with all its weights in one file beside it, and returns its graph."""
    with open_model(changed) as file:
        skeleton = skeleton_of(file)
        copy_open(file, skeleton, target)
    return skeleton.model


def copy_open(file: ModelFile, skeleton: Skeleton, target: Path) -> None:
    """Copies the model in an open file, with all its weights in one file beside it."""
    write_planned(file, plan_weights(file, skeleton, data_path(target).name), target)
