"""What does a TensorFlow Lite file hold? Its tensors, operators and weights, as it names them.

Source: tflite/converter/schema/schema.fbs of google-ai-edge/LiteRT, version 3d. The numbers below
are the places of the fields in its tables; a union takes two, its kind and its table.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Final, TypeVar

from feasibility.model_file.element_types import ELEMENT_TYPES, dtype_name
from feasibility.model_file.flatbuffer import Flatbuffer, FlatbufferError, Table
from feasibility.model_file.tensors import ExternalData, TensorInfo
from feasibility.text import safe_text

SCHEMA_VERSION: Final = 3
# Ranks of tensors, and tensors and operators of all subgraphs, far above real ones.
_MAX_RANK: Final = 64
_MAX_ENTRIES: Final = 300_000
_MAX_ELEMENT_COUNT: Final = 2**63 - 1
_CUSTOM: Final = 32
# Shapes and axes are integers of these types; longer constants are weights.
_INTEGERS: Final = {6: "i", 7: "q"}
_KEPT_BYTES: Final = 1024
_Item = TypeVar("_Item")

# Names in the order of their numbers, from 0.
_NAMES: Final = """
    ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE
    EMBEDDING_LOOKUP FLOOR FULLY_CONNECTED HASHTABLE_LOOKUP L2_NORMALIZATION L2_POOL_2D
    LOCAL_RESPONSE_NORMALIZATION LOGISTIC LSH_PROJECTION LSTM MAX_POOL_2D MUL RELU RELU_N1_TO_1
    RELU6 RESHAPE RESIZE_BILINEAR RNN SOFTMAX SPACE_TO_DEPTH SVDF TANH CONCAT_EMBEDDINGS SKIP_GRAM
    CALL CUSTOM EMBEDDING_LOOKUP_SPARSE PAD UNIDIRECTIONAL_SEQUENCE_RNN GATHER BATCH_TO_SPACE_ND
    SPACE_TO_BATCH_ND TRANSPOSE MEAN SUB DIV SQUEEZE UNIDIRECTIONAL_SEQUENCE_LSTM STRIDED_SLICE
    BIDIRECTIONAL_SEQUENCE_RNN EXP TOPK_V2 SPLIT LOG_SOFTMAX DELEGATE BIDIRECTIONAL_SEQUENCE_LSTM
    CAST PRELU MAXIMUM ARG_MAX MINIMUM LESS NEG PADV2 GREATER GREATER_EQUAL LESS_EQUAL SELECT SLICE
    SIN TRANSPOSE_CONV SPARSE_TO_DENSE TILE EXPAND_DIMS EQUAL NOT_EQUAL LOG SUM SQRT RSQRT SHAPE
    POW ARG_MIN FAKE_QUANT REDUCE_PROD REDUCE_MAX PACK LOGICAL_OR ONE_HOT LOGICAL_AND LOGICAL_NOT
    UNPACK REDUCE_MIN FLOOR_DIV REDUCE_ANY SQUARE ZEROS_LIKE FILL FLOOR_MOD RANGE
    RESIZE_NEAREST_NEIGHBOR LEAKY_RELU SQUARED_DIFFERENCE MIRROR_PAD ABS SPLIT_V UNIQUE CEIL
    REVERSE_V2 ADD_N GATHER_ND COS WHERE RANK ELU REVERSE_SEQUENCE MATRIX_DIAG QUANTIZE
    MATRIX_SET_DIAG ROUND HARD_SWISH IF WHILE NON_MAX_SUPPRESSION_V4 NON_MAX_SUPPRESSION_V5
    SCATTER_ND SELECT_V2 DENSIFY SEGMENT_SUM BATCH_MATMUL PLACEHOLDER_FOR_GREATER_OP_CODES CUMSUM
    CALL_ONCE BROADCAST_TO RFFT2D CONV_3D IMAG REAL COMPLEX_ABS HASHTABLE HASHTABLE_FIND
    HASHTABLE_IMPORT HASHTABLE_SIZE REDUCE_ALL CONV_3D_TRANSPOSE VAR_HANDLE READ_VARIABLE
    ASSIGN_VARIABLE BROADCAST_ARGS RANDOM_STANDARD_NORMAL BUCKETIZE RANDOM_UNIFORM MULTINOMIAL GELU
    DYNAMIC_UPDATE_SLICE RELU_0_TO_1 UNSORTED_SEGMENT_PROD UNSORTED_SEGMENT_MAX
    UNSORTED_SEGMENT_SUM ATAN2 UNSORTED_SEGMENT_MIN SIGN BITCAST BITWISE_XOR RIGHT_SHIFT
    STABLEHLO_LOGISTIC STABLEHLO_ADD STABLEHLO_DIVIDE STABLEHLO_MULTIPLY STABLEHLO_MAXIMUM
    STABLEHLO_RESHAPE STABLEHLO_CLAMP STABLEHLO_CONCATENATE STABLEHLO_BROADCAST_IN_DIM
    STABLEHLO_CONVOLUTION STABLEHLO_SLICE STABLEHLO_CUSTOM_CALL STABLEHLO_REDUCE STABLEHLO_ABS
    STABLEHLO_AND STABLEHLO_COSINE STABLEHLO_EXPONENTIAL STABLEHLO_FLOOR STABLEHLO_LOG
    STABLEHLO_MINIMUM STABLEHLO_NEGATE STABLEHLO_OR STABLEHLO_POWER STABLEHLO_REMAINDER
    STABLEHLO_RSQRT STABLEHLO_SELECT STABLEHLO_SUBTRACT STABLEHLO_TANH STABLEHLO_SCATTER
    STABLEHLO_COMPARE STABLEHLO_CONVERT STABLEHLO_DYNAMIC_SLICE STABLEHLO_DYNAMIC_UPDATE_SLICE
    STABLEHLO_PAD STABLEHLO_IOTA STABLEHLO_DOT_GENERAL STABLEHLO_REDUCE_WINDOW STABLEHLO_SORT
    STABLEHLO_WHILE STABLEHLO_GATHER STABLEHLO_TRANSPOSE DILATE STABLEHLO_RNG_BIT_GENERATOR
    REDUCE_WINDOW STABLEHLO_COMPOSITE STABLEHLO_SHIFT_LEFT STABLEHLO_CBRT STABLEHLO_CASE
"""
OPERATOR_NAMES: Final = tuple(_NAMES.split())
# The element types of ONNX in the order of TensorType; 0 for resources and variants.
_ELEMENT_TYPES: Final = (
    1, 10, 6, 2, 7, 8, 9, 5, 14, 3, 11, 15, 13, 0, 0, 12, 4, 22, 16, 26, 21, 17, 19
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class TfliteTensor:
    """One tensor of a subgraph.

    Args:
        name: Its name, made unique in its subgraph.
        elem_type: `TensorProto.DataType`; 0 if ONNX has no such type.
        signature: Its shape, -1 for open dims.
        values: Its values, if it is a short constant of integers.
        data: Its data in the file or in a file beside it; None for inputs and computed tensors.
    """

    name: str
    elem_type: int
    signature: tuple[int, ...]
    values: tuple[int, ...] | None
    data: TensorInfo | None


@dataclass(frozen=True, slots=True)
class TfliteOperator:
    """One operator; its inputs and outputs are positions of tensors, -1 for none.

    Args:
        name: Name in the schema, or that of a custom operator.
        options: Its parameters; what they mean depends on the operator.
    """

    name: str
    is_custom: bool
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Table | None

    @property
    def builtin(self) -> str:
        """Name in the schema; empty for a custom operator, whose name means nothing here."""
        return "" if self.is_custom else self.name

    def option(self, index: int, form: str = "<i") -> int:
        """One parameter; 0 if it is absent."""
        return 0 if self.options is None else self.options.integer(index, form)


@dataclass(frozen=True, slots=True)
class TfliteSubgraph:
    """One graph of the file; the first is the main one."""

    tensors: tuple[TfliteTensor, ...]
    operators: tuple[TfliteOperator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TfliteModel:
    """The content of a file, its weights not read.

    Args:
        runtime_version: Oldest TensorFlow Lite that runs it; empty if it does not say.
        weights: What tensors have as data, each piece once, by the name of its first tensor.
        signature_graphs: Positions of the subgraphs that have an entry of their own.
    """

    version: int
    description: str
    runtime_version: str
    subgraphs: tuple[TfliteSubgraph, ...]
    weights: tuple[TensorInfo, ...]
    signature_graphs: frozenset[int]


def tflite_model(buffer: Flatbuffer) -> TfliteModel:
    """What the file holds.

    Raises:
        FlatbufferError: Something in it is outside the file, or does not match.
    """
    return _Reader(buffer, buffer.root()).model()


@dataclass(slots=True)
class _Reader:
    buffer: Flatbuffer
    root: Table
    buffers: tuple[Table, ...] = ()
    codes: tuple[tuple[str, bool], ...] = ()
    externals: dict[int, ExternalData] = field(default_factory=dict)
    weights: dict[tuple[int, int], TensorInfo] = field(default_factory=dict)
    entry_count: int = 0

    def model(self) -> TfliteModel:
        root = self.root
        self.buffers = root.tables(4)
        self.codes = tuple(map(_operator_name, root.tables(1)))
        self.externals = dict(self._external_buffers())
        subgraphs = tuple(map(self._subgraph, root.tables(2)))
        if not subgraphs:
            raise FlatbufferError("it holds no graph")
        return TfliteModel(
            version=root.integer(0, "<I"),
            description=root.text(3),
            runtime_version=self._metadata("min_runtime_version"),
            subgraphs=subgraphs,
            weights=tuple(self.weights.values()),
            signature_graphs=frozenset(each.integer(4, "<I") for each in root.tables(7)),
        )

    def _metadata(self, name: str) -> str:
        for entry in self.root.tables(6):
            if entry.text(0) == name:
                start, end = self._data(entry.integer(1, "<I"))
                text = self.buffer.read(start, min(end - start, 64))
                return text.rstrip(b"\0").decode("utf-8", "replace")
        return ""

    def _external_buffers(self) -> Iterator[tuple[int, ExternalData]]:
        groups = [group.text(0) for group in self.root.tables(8)]
        for entry in self.root.tables(9):
            group = _at(groups, entry.integer(1, "<I"), "group of external buffers")
            offset, length = entry.integer(2, "<Q"), entry.integer(3, "<Q")
            yield entry.integer(0, "<I"), ExternalData(group, offset, length)

    def _subgraph(self, table: Table) -> TfliteSubgraph:
        tables, operators = table.tables(0), table.tables(3)
        self.entry_count += len(tables) + len(operators)
        if self.entry_count > _MAX_ENTRIES:
            raise FlatbufferError(f"it claims more than {_MAX_ENTRIES:,} tensors and operators")
        inputs, outputs = table.integers(1), table.integers(2)
        names = _unique_names([each.text(3) for each in tables], inputs)
        tensors = tuple(map(self._tensor, tables, names))
        for position in (*inputs, *outputs):
            _at(tensors, position, "tensor")
        nodes = tuple(self._operator(each, len(tensors)) for each in operators)
        return TfliteSubgraph(tensors, nodes, inputs, outputs)

    def _operator(self, table: Table, tensor_count: int) -> TfliteOperator:
        name, is_custom = _at(self.codes, table.integer(0, "<I"), "operator code")
        inputs, outputs = table.integers(1), table.integers(2)
        for position in (*inputs, *outputs):
            if not -1 <= position < tensor_count:
                raise FlatbufferError(
                    f"{safe_text(name, 60)} refers to tensor {position:,}, but only "
                    f"{tensor_count:,} exist"
                )
        return TfliteOperator(name, is_custom, inputs, outputs, table.table(4))

    def _tensor(self, table: Table, name: str) -> TfliteTensor:
        shape = _shape(table, 0)
        kind = table.integer(1, "<b")
        elem_type = _ELEMENT_TYPES[kind] if 0 <= kind < len(_ELEMENT_TYPES) else 0
        position, external = table.integer(2, "<I"), table.integer(10, "<I")
        key = (position, external)
        data = self.weights.get(key) or self._weight(table, name, elem_type, shape, key)
        if data is not None:
            self.weights[key] = data
        signature = _shape(table, 7)
        if len(signature) != len(shape):
            signature = shape
        values = None if data is None else self._values(elem_type, data)
        return TfliteTensor(name, elem_type, signature, values, data)

    def _values(self, elem_type: int, data: TensorInfo) -> tuple[int, ...] | None:
        form = _INTEGERS.get(elem_type)
        if form is None or not data.extents or data.size_bytes > _KEPT_BYTES:
            return None
        layout = f"<{data.size_bytes // struct.calcsize(form)}{form}"
        return struct.unpack(layout, self.buffer.read(data.extents[0][0], struct.calcsize(layout)))

    def _weight(
        self, table: Table, name: str, elem_type: int, shape: tuple[int, ...], key: tuple[int, int]
    ) -> TensorInfo | None:
        """The data of a tensor; None if it has none."""
        position, external_id = key
        external = None
        if external_id:
            external = self.externals.get(external_id)
            if external is None:
                raise FlatbufferError(f"it names external buffer {external_id:,}, which is missing")
        start, end = self._data(position) if position and not external_id else (0, 0)
        held_bytes = external.size_bytes if external is not None else end - start
        if not held_bytes:
            return None
        known = ELEMENT_TYPES.get(elem_type)
        is_sparse = table.table(6) is not None
        count = prod(max(size, 0) for size in shape)
        size_bytes = None if known is None or is_sparse else known.size_bytes(count)
        if size_bytes is None:
            # Texts, and sparse tensors: what is stored.
            size_bytes = held_bytes
            if known is not None and known.bit_count:
                count = held_bytes * 8 // known.bit_count
        if size_bytes > held_bytes or count > _MAX_ELEMENT_COUNT:
            raise FlatbufferError(
                f"the tensor '{safe_text(name, 60)}' needs {size_bytes:,} bytes, and its data has "
                f"{held_bytes:,}"
            )
        return TensorInfo(
            name,
            dtype_name(elem_type),
            shape,
            count,
            size_bytes,
            is_sparse=is_sparse,
            extents=((start, end),) if external is None else (),
            external=external,
        )

    def _data(self, position: int) -> tuple[int, int]:
        """Where the data of a buffer lies; files above 2 GiB have it behind the flatbuffer."""
        table = _at(self.buffers, position, "buffer")
        offset, size_bytes = table.integer(1, "<Q"), table.integer(2, "<Q")
        if offset > 1:
            return self.buffer.extent(offset, size_bytes)
        return table.extent(0)


def _operator_name(code: Table) -> tuple[str, bool]:
    """Name of an operator, and whether it is a custom one.

    Numbers from 127 up do not fit the older field.
    """
    number = max(code.integer(0, "<b"), code.integer(3, "<i"))
    if number == _CUSTOM:
        return code.text(1) or "CUSTOM", True
    known = 0 <= number < len(OPERATOR_NAMES)
    return OPERATOR_NAMES[number] if known else f"OPERATOR_{number}", False


def _shape(table: Table, index: int) -> tuple[int, ...]:
    shape = table.integers(index)
    if len(shape) > _MAX_RANK:
        raise FlatbufferError(f"a tensor has {len(shape):,} dims")
    return shape


def _unique_names(names: list[str], first: tuple[int, ...]) -> list[str]:
    """The names, those without one or with that of another with their position.

    Tensors of `first` keep their names.
    """
    order = dict.fromkeys([*(at for at in first if 0 <= at < len(names)), *range(len(names))])
    taken: set[str] = set()
    for position in order:
        name = names[position] or f"tensor#{position}"
        while name in taken:
            name = f"{name}#{position}"
        names[position] = name
        taken.add(name)
    return names


def _at(items: Sequence[_Item], position: int, noun: str) -> _Item:
    if not 0 <= position < len(items):
        raise FlatbufferError(f"it refers to {noun} {position:,}, but only {len(items):,} exist")
    return items[position]
