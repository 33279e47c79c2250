"""How are the parts of a transformer fused? By the tool of ONNX Runtime, not by its optimizer.

`onnxruntime.transformers` knows patterns that the optimizer leaves alone, for example an addition
before a layer normalisation.
"""

from __future__ import annotations

import logging
from typing import Final

from feasibility.errors import UselessChangeError
from feasibility.rewrite.change_request import ChangeRequest
from feasibility.rewrite.forked.graph_file import finish_graph

# Its fusions cover those of the other encoders and decoders.
_KIND: Final = "bert"


def fuse_transformer(request: ChangeRequest) -> None:
    """Writes the model with fused operators; sizes of attention are taken from the graph.

    Raises:
        UselessChangeError: There is nothing to fuse.
    """
    # This process ends after the change.
    logging.disable(logging.WARNING)
    from onnxruntime.transformers.fusion_options import FusionOptions
    from onnxruntime.transformers.optimizer import optimize_model

    options = FusionOptions(_KIND)
    # Inference of symbolic shapes needs sympy, which the runtime does not install.
    options.enable_shape_inference = False
    fused = optimize_model(
        str(request.source),
        model_type=_KIND,
        num_heads=0,
        hidden_size=0,
        optimization_options=options,
        opt_level=0,
    )
    if not any(fused.get_fused_operator_statistics().values()):
        raise UselessChangeError(
            request.what,
            "onnxruntime.transformers found nothing to fuse",
            "it fuses encoders and decoders with attention; try another change",
        )
    finish_graph(fused.model, request.target.parent, request.target)
