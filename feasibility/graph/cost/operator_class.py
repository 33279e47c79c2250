"""Which operators use a processor in the same way? Each such class has one efficiency.

Classes differ in what limits their speed: arithmetic, memory traffic, or the steps of a
recurrence.
"""

from __future__ import annotations

from typing import Final

from feasibility.graph.attributes import int_of
from feasibility.graph.typed_graph import Call
from feasibility.records.facts import OperatorClass

_MEMBERS: Final[dict[OperatorClass, str]] = {
    "conv": """
        Conv ConvTranspose ConvInteger QLinearConv DeformConv FusedConv NhwcConv NhwcFusedConv
        ConvTransposeWithDynamicPads QLinearConvTranspose CausalConvWithState
        VarlenCausalConvWithState""",
    "matmul": """
        MatMul Gemm Einsum MatMulInteger QLinearMatMul FusedMatMul FusedGemm TransposeMatMul
        FusedMatMulActivation DynamicQuantizeMatMul MatMulIntegerToFloat MatMulInteger16
        MatMulNBits MatMulBnb4 MatMulFpQ4 QGemm GemmFastGelu GemmFloat8 MoE QMoE QOrderedMatMul
        MatMulNBitsMlp MatMulNBitsQkv SparseToDenseMatMul LinearClassifier LinearRegressor
        SVMClassifier SVMRegressor CDist Det Inverse""",
    "attention": """
        Attention MultiHeadAttention GroupQueryAttention QAttention DecoderAttention
        DecoderMaskedMultiHeadAttention SparseAttention DecoderMaskedSelfAttention
        PackedAttention PackedMultiHeadAttention PagedAttention LongformerAttention
        QOrderedAttention LinearAttention DynamicSparseAttention QOrderedLongformerAttention
        GatedDeltaNet""",
    "recurrent": "LSTM GRU RNN DynamicQuantizeLSTM AttnLSTM",
    "normalization": """
        BatchNormalization InstanceNormalization LayerNormalization GroupNorm GroupNormalization
        RMSNormalization SimplifiedLayerNormalization SkipLayerNormalization
        SkipSimplifiedLayerNormalization SkipGroupNorm LpNormalization LRN
        MeanVarianceNormalization Softmax LogSoftmax Hardmax BiasSoftmax QLinearSoftmax
        Normalizer Scaler ImageScaler QOrderedLayerNormalization GatedRMSNorm""",
    "reduction": """
        ReduceMean ReduceSum ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceLogSum
        ReduceLogSumExp ReduceSumSquare ReduceSumInteger ArgMax ArgMin GlobalAveragePool
        GlobalMaxPool GlobalLpPool AveragePool MaxPool LpPool NhwcMaxPool QLinearAveragePool
        QLinearGlobalAveragePool QLinearReduceMean MaxRoiPool RoiAlign TopK CumSum CumProd
        NonMaxSuppression Unique MaxpoolWithMask DFT STFT Rfft Irfft""",
    "data_movement": """
        Reshape Transpose Concat Split Slice Squeeze Unsqueeze Flatten Expand Tile Pad Identity
        Shape Size Constant ConstantOfShape DepthToSpace SpaceToDepth Resize Upsample Crop
        CenterCropPad ReverseSequence Compress NonZero Range EyeLike Trilu ReorderInput
        ReorderOutput QLinearConcat SequenceConstruct SequenceAt SequenceInsert SequenceErase
        SequenceEmpty SequenceLength ConcatFromSequence SplitToSequence Optional
        OptionalGetElement OptionalHasElement ZipMap FeatureVectorizer CropAndResize Col2Im
        UnfoldTensor ExpandDims RemovePadding RestorePadding MaxUnpool GridSample AffineGrid""",
    "lookup": """
        Gather GatherElements GatherND Scatter ScatterElements ScatterND OneHot
        EmbedLayerNormalization QEmbedLayerNormalization TorchEmbedding GatherBlockQuantized
        ArrayFeatureExtractor LabelEncoder OneHotEncoder CategoryMapper DictVectorizer
        TfIdfVectorizer TensorScatter StringNormalizer StringConcat StringSplit RegexFullMatch
        Tokenizer""",
    "quantization": """
        QuantizeLinear DequantizeLinear DynamicQuantizeLinear QuantizeBFP DequantizeBFP
        QuantizeWithOrder DequantizeWithOrder""",
    "tree": "TreeEnsembleClassifier TreeEnsembleRegressor TreeEnsemble",
    "control_flow": "If Loop Scan SequenceMap",
    "elementwise": """
        Abs Acos Acosh Add Affine And Asin Asinh Atan Atanh Binarizer BitShift BitwiseAnd
        BitwiseNot BitwiseOr BitwiseXor Cast CastLike Ceil Celu Clip Cos Cosh Div Dropout Elu
        Equal Erf Exp Floor Gelu Greater GreaterOrEqual HardSigmoid HardSwish Imputer IsInf IsNaN
        LeakyRelu Less LessOrEqual Log Max Mean Min Mish Mod Mul Neg Not Or PRelu Pow Reciprocal
        Relu Round Selu Shrink Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Sub Sum Swish Tan
        Tanh ThresholdedRelu Where Xor Bernoulli Multinomial RandomNormal RandomNormalLike
        RandomUniform RandomUniformLike ParametricSoftplus ScaledTanh BiasGelu FastGelu QuickGelu
        BiasSplitGelu BiasAdd BiasDropout QLinearAdd QLinearMul QLinearSigmoid QLinearLeakyRelu
        QLinearWhere MulInteger RotaryEmbedding GemmaRotaryEmbedding ComplexMul ComplexMulConj
        ScaledSiLU QOrderedGelu BlackmanWindow HammingWindow HannWindow MelWeightMatrix
        IsAllFinite Scale MRotaryEmbedding""",
}

_CLASSES: Final[dict[str, OperatorClass]] = {
    op_type: name for name, members in _MEMBERS.items() for op_type in members.split()
}
_DOMAINS: Final = frozenset(
    {"", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc", "com.ms.internal.nhwc"}
)


def operator_class(call: Call) -> OperatorClass:
    """Class of a node's operator; that of a convolution depends on its groups and window."""
    if call.domain not in _DOMAINS:
        return "other"
    found = _CLASSES.get(call.op_type, "other")
    return _convolution_class(call) if found == "conv" else found


def _convolution_class(call: Call) -> OperatorClass:
    group = int_of(call.attributes, "group", 1)
    weight = call.type_of(3 if call.op_type.startswith("QLinear") else 1).shape
    if group > 1 and weight is not None and len(weight) > 1 and weight[1] == 1:
        return "depthwise_conv"
    if group == 1 and weight is not None and all(dim == 1 for dim in weight[2:]):
        return "pointwise_conv"
    return "conv"
