"""Which nodes after a convolution does the convolution do itself?

Source: onnxruntime/core/optimizer/conv_*_fusion.cc, conv_activation_fusion.cc and
nchwc_transformer.cc, compared with the graphs that they write.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from feasibility.graph.typed_graph import TypedNode
    from feasibility.ort_memory.merges import Fusions
    from feasibility.ort_memory.value_uses import Usage

# Activations that a convolution can apply itself.
FUSED: Final = frozenset({"Relu", "Sigmoid", "Tanh", "LeakyRelu", "Clip", "HardSigmoid"})


class ConvolutionChains:
    """The nodes that convolutions do.

    Attributes:
        done: Their positions.
        activated: Results of convolutions that apply an activation.
    """

    def __init__(self, usage: Usage, fusions: Fusions) -> None:
        self._usage = usage
        self._fusions = fusions
        self.done: set[int] = set()
        self.activated: set[str] = set()

    def after_sum(self, output: str) -> str:
        """Output of the activation that a convolution applies; the name itself if none."""
        index = self._usage.only_reader_at(output)
        if index is None or not self._is_activation(index):
            return output
        self.done.add(index)
        activated = str(self._usage.nodes[index].node.output[0])
        self.activated.add(activated)
        return activated

    def hard_swish_after(self, output: str) -> str:
        """Output of HardSigmoid(x) * x, which a convolution in blocks applies too."""
        at = {self._usage.nodes[index].op_type: index for index in self._usage.readers_at(output)}
        is_pair = set(at) == {"HardSigmoid", "Mul"} and self._usage.count(output) == 2
        if not is_pair or output in self.activated:
            return output
        gate, product = (self._usage.nodes[at[name]] for name in ("HardSigmoid", "Mul"))
        if self._usage.only_reader_at(gate.node.output[0]) != at["Mul"]:
            return output
        self.done.update(at.values())
        activated = str(product.node.output[0])
        self.activated.add(activated)
        return activated

    def end(self, node: TypedNode) -> str:
        """Output of the last normalisation or activation that a convolution applies."""
        output = str(node.node.output[0])
        while (index := self._usage.only_reader_at(output)) is not None:
            reader = self._usage.nodes[index]
            # In a damaged graph the chain may contain itself.
            if index in self._fusions.absorbed or index in self.done or reader.domain:
                break
            others = [name for name in reader.node.input if name and name != output]
            if not all(self._usage.is_constant(name) for name in others):
                break
            is_affine = reader.op_type == "BatchNormalization" or self._is_affine(reader, others)
            if not is_affine and not self._is_activation(index):
                break
            self.done.add(index)
            output = str(reader.node.output[0])
            if not is_affine:
                self.activated.add(output)
                break
        return output

    def _is_affine(self, node: TypedNode, constants: list[str]) -> bool:
        """Whether a sum or product has one constant per channel; a factor can be one number."""
        if node.op_type not in ("Add", "Mul") or len(constants) != 1:
            return False
        count = node.type_of(list(node.node.input).index(constants[0])).element_count
        channels = (node.output().shape or (None, None))[1:2]
        return (count,) == channels or (node.op_type == "Mul" and count == 1)

    def _is_activation(self, index: int) -> bool:
        node = self._usage.nodes[index]
        others = [name for name in node.node.input[1:] if name]
        is_fused = node.op_type in FUSED and not node.domain
        return is_fused and all(self._usage.is_constant(name) for name in others)
