"""How is a deployed model loaded? The document beside the model that `fit` wrote."""

from __future__ import annotations

from typing import Annotated

from feasibility.records.shared_fields import Count, Document, TensorSpec, doc
from feasibility.records.workload import RuntimeSettings


class SessionOptions(Document, frozen=True, kw_only=True, tag="feasibility/session_options/1"):
    """The options that a model was measured with, for any language."""

    model: Annotated[str, doc("File name of the model, in the folder of this document.")]
    data_files: Annotated[
        tuple[str, ...], doc("Files with its weights, relative to the folder; may be empty.")
    ] = ()
    settings: Annotated[RuntimeSettings, doc("Settings of ONNX Runtime and of the process.")]
    threads: Annotated[Count, doc("Number of intra-op threads.")]
    config_entries: Annotated[
        dict[str, str], doc("Configuration entries of the session, as ONNX Runtime names them.")
    ] = {}
    inputs: Annotated[tuple[TensorSpec, ...], doc("Inputs of the model.")] = ()
    outputs: Annotated[tuple[TensorSpec, ...], doc("Outputs of the model.")] = ()
    runtime_version: Annotated[str, doc("ONNX Runtime version of the measurement.")]
    isa: Annotated[str, doc("Instruction set of the measurement; loads_on has all.")]
    loads_on: Annotated[
        tuple[str, ...], doc("Instruction sets on which the files were loaded and run.")
    ] = ()
    files: Annotated[tuple[str, ...], doc("Files written, relative to the folder.")] = ()
