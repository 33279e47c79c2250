"""What does a model file say without being run? The document of `feasibility inspect`."""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

from feasibility.records.changes import Changes
from feasibility.records.rows import Shown
from feasibility.records.shared_fields import (
    Assumption,
    Bytes,
    Count,
    Isa,
    Notice,
    Record,
    TensorSpec,
    doc,
)

OperatorClass: TypeAlias = Literal[
    "conv", "depthwise_conv", "pointwise_conv", "matmul", "attention", "recurrent", "normalization",
    "elementwise", "reduction", "data_movement", "lookup", "quantization", "tree", "control_flow",
    "other",
]  # fmt: skip


ModelFormat: TypeAlias = Literal["onnx", "ort", "tflite"]
FORMAT_TITLES: Final[dict[ModelFormat, str]] = {
    "onnx": "ONNX",
    "ort": "ONNX Runtime format",
    "tflite": "TensorFlow Lite format",
}


class ExternalFile(Record, frozen=True, kw_only=True):
    """One file beside the model that holds initializers."""

    location: Annotated[str, doc("Path as written in the model, relative to its folder.")]
    file_bytes: Annotated[Bytes, doc("Size of the whole file on disk.")]
    used_bytes: Annotated[Bytes, doc("Bytes of the file that initializers use.")]
    initializer_count: Annotated[Count, doc("Number of initializers in the file.")]


class OperatorType(Record, frozen=True, kw_only=True):
    """All nodes of one operator type together."""

    op_type: Annotated[str, doc("Operator name, for example Conv.")]
    domain: Annotated[
        str, doc("Operator domain; ai.onnx is the default one, tflite that of TensorFlow Lite.")
    ]
    node_count: Annotated[Count, doc("Number of nodes of this type, subgraphs included.")]
    flops: Annotated[Count | None, doc("Operations; null if unknown.")] = None
    weight_bytes: Annotated[
        Bytes, doc("Bytes of initializers; each counts for the first node that reads it.")
    ] = 0


class NodeFacts(Record, frozen=True, kw_only=True):
    """Work of one node for the bound dims."""

    name: Annotated[str, doc("Node name, or its first output if it has no name.")]
    op_type: Annotated[str, doc("Operator name.")]
    domain: Annotated[
        str, doc("Operator domain; ai.onnx is the default one, tflite that of TensorFlow Lite.")
    ]
    op_class: Annotated[OperatorClass, doc("Operator class; latency projections use it.")]
    flops: Annotated[Count | None, doc("Operations; a multiply-add counts as 2.")] = None
    macs: Annotated[Count | None, doc("Multiply-adds; null if a shape is unknown.")] = None
    moved_bytes: Annotated[Bytes | None, doc("Bytes of inputs and outputs; each counts once.")] = (
        None
    )
    weight_bytes: Annotated[Bytes, doc("Bytes of the initializers among its inputs.")] = 0
    output_bytes: Annotated[Bytes | None, doc("Bytes of its outputs; null if unknown.")] = None
    output_shape: Annotated[
        tuple[int, ...] | None, doc("Shape of its first output; null if unknown.")
    ] = None
    repeat_count: Annotated[
        Count | None, doc("Runs per inference; null inside a loop of unknown length.")
    ] = 1
    scope: Annotated[str, doc("Path of its subgraph or function; empty in the main graph.")] = ""


class LiveTensor(Record, frozen=True, kw_only=True):
    """A tensor that is alive at the activation peak."""

    name: Annotated[str, doc("Tensor name.")]
    size_bytes: Annotated[Bytes, doc("Size for the bound dims.")]
    producer: Annotated[str, doc("Node that computes the tensor, or `input`.")]


class ActivationPeak(Record, frozen=True, kw_only=True):
    """The largest sum of tensors that are alive at one time, in the order of the nodes."""

    peak_bytes: Annotated[Bytes, doc("Bytes alive at the peak, without weights.")]
    node: Annotated[str, doc("Node that runs at the peak.")]
    op_type: Annotated[str, doc("Operator of that node.")]
    tensors: Annotated[tuple[LiveTensor, ...], doc("Tensors alive at the peak, largest first.")]
    unknown_tensor_count: Annotated[Count, doc("Tensors of unknown shape, not counted.")] = 0


class ModelledMemory(Record, frozen=True, kw_only=True):
    """Memory of ONNX Runtime's CPU provider on one instruction set, computed from the graph.

    Above the baseline, with the steady allocator and one thread.
    """

    isa: Annotated[Isa, doc("Instruction set.")]
    changes: Annotated[Changes, doc("Changes of the model that are assumed.")] = ()
    runtime_version: Annotated[str, doc("ONNX Runtime version that is modelled, if known.")] = ""
    load_peak_bytes: Annotated[Bytes, doc("Load peak.")]
    resident_bytes: Annotated[Bytes, doc("Resident after loading.")]
    inference_peak_bytes: Annotated[Bytes, doc("Inference peak.")]
    weight_bytes: Annotated[Bytes, doc("Weights that stay, in the layout that the kernels read.")]
    own_bytes: Annotated[Bytes, doc("Code and objects of the runtime.")]
    activation_bytes: Annotated[Bytes, doc("Arena pages that the runs write and keep.")]
    input_bytes: Annotated[Bytes, doc("Inputs, which the caller holds.")]
    mapped_bytes: Annotated[Bytes, doc("File-backed pages of external data that the runs read.")]

    @property
    def peak_bytes(self) -> int:
        """Highest memory while loading and running."""
        return max(self.load_peak_bytes, self.inference_peak_bytes)


class ModelSummary(Record, frozen=True, kw_only=True):
    """Fields that facts and profiles have in common."""

    name: Annotated[str, doc("File name.")]
    path: Annotated[str, doc("Path as the user gave it.")]
    format: Annotated[ModelFormat, doc("File format.")] = "onnx"
    sha256: Annotated[str | None, doc("SHA-256 of the file; null by default for large files.")] = (
        None
    )
    file_bytes: Annotated[Bytes, doc("Size of the model file itself.")]
    external_bytes: Annotated[Bytes, doc("Size of all external data files together.")] = 0
    opset: Annotated[int | None, doc("Version of the default operator set.")] = None
    inputs: Annotated[tuple[TensorSpec, ...], doc("Inputs, without initializers.")] = ()
    outputs: Annotated[tuple[TensorSpec, ...], doc("Outputs.")] = ()
    parameter_count: Annotated[
        Count | None, doc("Elements of initializers and Constant nodes; null for .ort files.")
    ] = None
    initializer_bytes: Annotated[Bytes | None, doc("Bytes of all initializers in memory.")] = None
    largest_initializer_bytes: Annotated[Bytes | None, doc("Bytes of the largest initializer.")] = (
        None
    )
    generated_bytes: Annotated[Bytes, doc("Weights that the graph computes while loading.")] = 0
    node_count: Annotated[
        Count | None, doc("Number of nodes, with subgraphs and used functions.")
    ] = None
    custom_operators: Annotated[
        tuple[str, ...], doc("Operators that standard builds do not have, as domain:name.")
    ] = ()
    flops: Annotated[Count | None, doc("Operations of one run; a multiply-add counts as 2.")] = None
    macs: Annotated[Count | None, doc("Multiply-adds of one run.")] = None
    moved_bytes: Annotated[Bytes | None, doc("Bytes that all nodes read and write.")] = None
    per_iteration: Annotated[bool, doc("True if loops of unknown length count once.")] = False
    activation_peak: Annotated[ActivationPeak | None, doc("Activation peak.")] = None
    modelled_memory: Annotated[
        tuple[ModelledMemory, ...],
        doc("Modelled memory per instruction set; empty if the graph is unknown."),
    ] = ()
    changed_memory: Annotated[
        tuple[ModelledMemory, ...], doc("The same after changes that lower memory.")
    ] = ()


class ModelFacts(
    Shown, ModelSummary, frozen=True, kw_only=True, tag_field="schema", tag="feasibility/facts/1"
):
    """Facts about one model file."""

    tool_version: Annotated[str, doc("Version of feasibility that wrote this document.")]
    format: Annotated[
        ModelFormat,
        doc(
            "onnx: protobuf; ort: ONNX Runtime's flatbuffer; tflite: TensorFlow Lite's flatbuffer."
        ),
    ]
    external_files: Annotated[tuple[ExternalFile, ...], doc("The external data files.")] = ()
    producer: Annotated[str, doc("Program that wrote the file; untrusted text.")] = ""
    ir_version: Annotated[int | None, doc("ONNX IR version.")] = None
    opsets: Annotated[dict[str, int], doc("Operator set version by domain.")] = {}
    unique_parameter_count: Annotated[
        Count | None, doc("Number of elements if equal initializers count once.")
    ] = None
    initializer_count: Annotated[Count | None, doc("Initializers and Constant nodes.")] = None
    sparse_initializer_count: Annotated[Count, doc("Number of sparse initializers.")] = 0
    initializer_bytes_by_dtype: Annotated[
        dict[str, int], doc("Initializer bytes by element type.")
    ] = {}
    subgraph_count: Annotated[Count, doc("Number of bodies of If, Loop and Scan.")] = 0
    function_count: Annotated[Count, doc("Functions that the model defines.")] = 0
    operators: Annotated[tuple[OperatorType, ...], doc("Operator types, most work first.")] = ()
    dims: Annotated[dict[str, int], doc("Symbolic dims and their sizes.")] = {}
    assumptions: Annotated[tuple[Assumption, ...], doc("Sizes that were assumed, and why.")] = ()
    unknown_node_count: Annotated[
        Count, doc("Nodes of unknown work: a shape or the operator is unknown.")
    ] = 0
    nodes: Annotated[tuple[NodeFacts, ...], doc("Work per node, in execution order.")] = ()
    warnings: Annotated[tuple[Notice, ...], doc("Warnings.")] = ()
