"""Models read without their weights in this process, by path."""

from __future__ import annotations

from pathlib import Path

from onnx import TensorProto

from feasibility.model_file.open_model import open_model
from feasibility.model_file.skeleton import Skeleton, skeleton_of
from feasibility.model_file.tensors import payload_mark


def read_skeleton(path: Path) -> Skeleton:
    with open_model(path) as file:
        return skeleton_of(file)


def payload_dropped(tensor: TensorProto) -> bool:
    """True for a tensor of a skeleton whose data is only in a file."""
    is_external = tensor.data_location == TensorProto.EXTERNAL
    return is_external or payload_mark(tensor) is not None
