"""How does a model get half-precision weights? By ONNX Runtime's converter; inputs stay float32."""

from __future__ import annotations

from feasibility.errors import ChangeError
from feasibility.model_file.external_data import LEAST_EXTERNAL_BYTES
from feasibility.model_file.open_model import open_model
from feasibility.model_file.skeleton import skeleton_of
from feasibility.rewrite.change_request import ChangeRequest
from feasibility.rewrite.forked.prepared_model import finish, prepared


def halve(request: ChangeRequest) -> None:
    """Writes the model with float16 in place of float32, except in its inputs and outputs.

    Raises:
        ModelError: The runtime refuses the model.
        ChangeError: It has no float32 weights.
    """
    from onnxruntime.transformers.float16 import convert_float_to_float16

    path = prepared(request.source, request.target.parent, request.what)
    with open_model(path) as file:
        tensors = skeleton_of(file).initializers
    if not any(
        each.dtype == "float32" and each.size_bytes >= LEAST_EXTERNAL_BYTES for each in tensors
    ):
        raise ChangeError(
            request.what, "it has no float32 weights of 1 KiB or more", "try another change"
        )
    # By its path, so that types of a model above 2 GiB can be inferred, too.
    model = convert_float_to_float16(
        str(path), keep_io_types=True, node_block_list=list(request.keep_float)
    )
    finish(model, path.parent, request.target)
