"""How is a deployed model loaded? The document beside the model that `fit` wrote."""

from __future__ import annotations

from typing import Annotated

from feasibility.records.shared_fields import Count, Record, TensorSpec, doc
from feasibility.records.workload import RuntimeSettings


class SessionOptions(
    Record, frozen=True, kw_only=True, tag_field="schema", tag="feasibility/session_options/1"
):
    """The options that a model was measured with, for any language."""

    tool_version: Annotated[str, doc("Version of feasibility that wrote this.")]
    model: Annotated[str, doc("File name of the model, in the folder of this document.")]
    data_files: Annotated[
        tuple[str, ...], doc("Files with its weights, relative to the folder; often none.")
    ] = ()
    settings: Annotated[RuntimeSettings, doc("Settings of ONNX Runtime and of the process.")]
    threads: Annotated[Count, doc("Number of intra-op threads.")]
    config_entries: Annotated[
        dict[str, str], doc("Configuration entries of the session, as ONNX Runtime names them.")
    ] = {}
    inputs: Annotated[tuple[TensorSpec, ...], doc("Inputs of the model.")] = ()
    outputs: Annotated[tuple[TensorSpec, ...], doc("Outputs of the model.")] = ()
    runtime_version: Annotated[str, doc("ONNX Runtime version that it was measured with.")]
    isa: Annotated[str, doc("Instruction set that it was measured on; loads_on has all.")]
    loads_on: Annotated[
        tuple[str, ...], doc("Instruction sets on which the files were loaded and run.")
    ] = ()
    files: Annotated[tuple[str, ...], doc("Files written, relative to the folder.")] = ()
