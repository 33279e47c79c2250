"""How does a model get half-precision weights? By ONNX Runtime's converter; inputs stay float32."""

from __future__ import annotations

from feasibility.errors import ChangeError
from feasibility.model_file.external_data import LEAST_EXTERNAL_BYTES
from feasibility.rewrite.change_request import ChangeRequest
from feasibility.rewrite.forked.graph_file import finish_graph
from feasibility.rewrite.forked.prepared_model import prepared


def halve(request: ChangeRequest) -> None:
    """Writes the model with float16 in place of float32, except in its inputs and outputs.

    Raises:
        ModelError: The runtime refuses the model.
        ChangeError: It has no float32 weights.
    """
    from onnxruntime.transformers.float16 import convert_float_to_float16

    path, _, weights, keep_float = prepared(request)
    if not any(
        each.dtype == "float32" and each.size_bytes >= LEAST_EXTERNAL_BYTES for each in weights
    ):
        raise ChangeError(
            request.what, "it has no float32 weights of 1 KiB or more", "try another change"
        )
    # By its path, so that types of a model above 2 GiB can be inferred, too.
    model = convert_float_to_float16(str(path), keep_io_types=True, node_block_list=keep_float)
    finish_graph(model, path.parent, request.target)
