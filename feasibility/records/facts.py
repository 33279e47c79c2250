"""What can be known of a model file without running it."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from feasibility.records.base import Assumption, Bytes, Count, Isa, Notice, Record, TensorSpec

OperatorClass: TypeAlias = Literal[
    "conv",
    "depthwise_conv",
    "pointwise_conv",
    "matmul",
    "attention",
    "recurrent",
    "normalization",
    "elementwise",
    "reduction",
    "data_movement",
    "lookup",
    "quantization",
    "tree",
    "control_flow",
    "other",
]


class ExternalFile(Record, frozen=True, kw_only=True):
    """One file outside the model that holds some of its initializers."""

    location: Annotated[str, Meta(description="Path relative to the model, as the model says.")]
    file_bytes: Annotated[Bytes, Meta(description="Size of the whole file on disk.")]
    used_bytes: Annotated[Bytes, Meta(description="Bytes of it that initializers refer to.")]
    initializer_count: Annotated[Count, Meta(description="Initializers that it holds.")]


class OperatorType(Record, frozen=True, kw_only=True):
    """All nodes of one operator type together."""

    op_type: Annotated[str, Meta(description="Operator name, for example Conv.")]
    domain: Annotated[str, Meta(description="Operator domain; ai.onnx is the default one.")]
    node_count: Annotated[Count, Meta(description="Nodes of this type, subgraphs included.")]
    flops: Annotated[
        Count | None, Meta(description="Floating-point operations; null where not known.")
    ] = None
    weight_bytes: Annotated[
        Bytes, Meta(description="Initializer bytes that nodes of this type read first.")
    ] = 0


class NodeFacts(Record, frozen=True, kw_only=True):
    """Work of one node with the dims bound."""

    name: Annotated[str, Meta(description="Node name, or its first output if it has none.")]
    op_type: Annotated[str, Meta(description="Operator name.")]
    domain: Annotated[str, Meta(description="Operator domain; ai.onnx is the default one.")]
    op_class: Annotated[OperatorClass, Meta(description="Class that projections work with.")]
    flops: Annotated[
        Count | None,
        Meta(description="Operations, one multiply-add counted as 2; null if a shape is open."),
    ] = None
    macs: Annotated[Count | None, Meta(description="Multiply-adds; null if a shape is open.")] = (
        None
    )
    moved_bytes: Annotated[
        Bytes | None,
        Meta(description="Bytes of all inputs read and outputs written once; null if open."),
    ] = None
    weight_bytes: Annotated[Bytes, Meta(description="Initializer bytes among its inputs.")] = 0
    output_bytes: Annotated[
        Bytes | None, Meta(description="Bytes of its outputs; null if a shape is open.")
    ] = None
    output_shape: Annotated[
        tuple[int, ...] | None, Meta(description="Shape of its first output; null if open.")
    ] = None
    repeat_count: Annotated[
        Count | None,
        Meta(description="Runs per inference; null inside a loop of unknown trip count."),
    ] = 1
    scope: Annotated[
        str, Meta(description="Path of the subgraph or function it stands in; empty at the top.")
    ] = ""


class LiveTensor(Record, frozen=True, kw_only=True):
    """A tensor alive at the static activation peak."""

    name: Annotated[str, Meta(description="Tensor name.")]
    size_bytes: Annotated[Bytes, Meta(description="Size with the dims bound.")]
    producer: Annotated[str, Meta(description="Node that makes it, or `input`.")]


class ActivationPeak(Record, frozen=True, kw_only=True):
    """The largest sum of tensors alive at once, by liveness over the node order."""

    peak_bytes: Annotated[Bytes, Meta(description="Bytes alive at the peak, weights left out.")]
    node: Annotated[str, Meta(description="Node that runs at the peak.")]
    op_type: Annotated[str, Meta(description="Operator of that node.")]
    tensors: Annotated[
        tuple[LiveTensor, ...], Meta(description="What is alive then, largest first.")
    ]
    unknown_tensor_count: Annotated[
        Count, Meta(description="Tensors of open shape that could not be counted.")
    ] = 0


class ModelledMemory(Record, frozen=True, kw_only=True):
    """Memory that the runtime takes on one instruction set, told from the graph alone.

    Beyond the process without the model, with the steady allocator and one thread.
    """

    isa: Annotated[Isa, Meta(description="Instruction set.")]
    load_peak_bytes: Annotated[Bytes, Meta(description="Most while loading.")]
    resident_bytes: Annotated[Bytes, Meta(description="What stays after loading.")]
    inference_peak_bytes: Annotated[Bytes, Meta(description="Most while running.")]
    weight_bytes: Annotated[
        Bytes, Meta(description="Weights that stay, in the layout that kernels read.")
    ]
    own_bytes: Annotated[Bytes, Meta(description="The runtime's own code and objects.")]
    activation_bytes: Annotated[
        Bytes,
        Meta(description="Pages of the arena that the runs touch and keep."),
    ]
    input_bytes: Annotated[Bytes, Meta(description="Inputs that the caller holds.")]
    mapped_bytes: Annotated[
        Bytes, Meta(description="Pages of external data that the runs read; they can be evicted.")
    ]


class ModelFacts(Record, frozen=True, kw_only=True, tag_field="schema", tag="feasibility/facts/1"):
    """Everything `inspect` knows of one model file."""

    tool_version: Annotated[str, Meta(description="Version of feasibility that wrote this.")]
    name: Annotated[str, Meta(description="File name.")]
    path: Annotated[str, Meta(description="Path as it was given.")]
    format: Annotated[
        Literal["onnx", "ort"], Meta(description="Protobuf ONNX, or ONNX Runtime's flatbuffer.")
    ]
    sha256: Annotated[
        str | None,
        Meta(description="Digest of the model file; null where it was not asked for."),
    ] = None
    file_bytes: Annotated[Bytes, Meta(description="Size of the model file itself.")]
    external_bytes: Annotated[
        Bytes, Meta(description="Size of all external data files, each counted once.")
    ] = 0
    external_files: Annotated[
        tuple[ExternalFile, ...], Meta(description="The external data files.")
    ] = ()
    producer: Annotated[str, Meta(description="Tool that wrote it; untrusted text.")] = ""
    ir_version: Annotated[int | None, Meta(description="ONNX IR version.")] = None
    opset: Annotated[int | None, Meta(description="Version of the default operator set.")] = None
    opsets: Annotated[dict[str, int], Meta(description="Operator set version by domain.")] = {}
    inputs: Annotated[
        tuple[TensorSpec, ...],
        Meta(description="Inputs that a caller must or may give, initializers left out."),
    ] = ()
    outputs: Annotated[tuple[TensorSpec, ...], Meta(description="Outputs.")] = ()
    parameter_count: Annotated[
        Count | None,
        Meta(
            description="Elements of all initializers and Constant nodes, which the runtime makes "
            "initializers; null for .ort files."
        ),
    ] = None
    unique_parameter_count: Annotated[
        Count | None, Meta(description="The same with equal initializers counted once.")
    ] = None
    initializer_count: Annotated[
        Count | None, Meta(description="Number of initializers and Constant nodes.")
    ] = None
    sparse_initializer_count: Annotated[Count, Meta(description="How many are sparse.")] = 0
    initializer_bytes: Annotated[
        Bytes | None, Meta(description="Bytes of all initializers in memory.")
    ] = None
    initializer_bytes_by_dtype: Annotated[
        dict[str, int], Meta(description="The same by element type.")
    ] = {}
    largest_initializer_bytes: Annotated[
        Bytes | None, Meta(description="Bytes of the largest initializer.")
    ] = None
    generated_bytes: Annotated[
        Bytes,
        Meta(description="Bytes of weights that the graph makes itself when it is loaded."),
    ] = 0
    node_count: Annotated[
        Count | None, Meta(description="Nodes, those of subgraphs and used functions included.")
    ] = None
    subgraph_count: Annotated[Count, Meta(description="Bodies of If, Loop and Scan.")] = 0
    function_count: Annotated[Count, Meta(description="Model-local functions.")] = 0
    operators: Annotated[
        tuple[OperatorType, ...], Meta(description="Operator types, most FLOPs first.")
    ] = ()
    custom_operators: Annotated[
        tuple[str, ...],
        Meta(description="Operators no standard build of the runtime has, as domain:name."),
    ] = ()
    dims: Annotated[
        dict[str, int], Meta(description="Symbolic dims and the sizes they were bound to.")
    ] = {}
    assumptions: Annotated[
        tuple[Assumption, ...], Meta(description="Sizes that were assumed, and why.")
    ] = ()
    flops: Annotated[
        Count | None,
        Meta(description="Operations of one inference, one multiply-add counted as 2."),
    ] = None
    macs: Annotated[Count | None, Meta(description="Multiply-adds of one inference.")] = None
    moved_bytes: Annotated[
        Bytes | None, Meta(description="Bytes read and written by all nodes, no cache assumed.")
    ] = None
    unknown_node_count: Annotated[
        Count, Meta(description="Nodes whose work is not known because a shape is open.")
    ] = 0
    per_iteration: Annotated[
        bool,
        Meta(description="True if a loop of unknown trip count was counted as one iteration."),
    ] = False
    nodes: Annotated[
        tuple[NodeFacts, ...], Meta(description="Work per node in execution order.")
    ] = ()
    activation_peak: Annotated[
        ActivationPeak | None, Meta(description="Static activation peak; null if not known.")
    ] = None
    modelled_memory: Annotated[
        tuple[ModelledMemory, ...],
        Meta(description="Memory per instruction set, modelled; empty if the graph is not known."),
    ] = ()
    warnings: Annotated[tuple[Notice, ...], Meta(description="What to know first.")] = ()
