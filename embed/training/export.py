"""From a taught network to the ONNX file that the ``student`` family runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from embed.errors import MissingPackage
from embed.training.network import Student

__all__ = ["check_installed", "export"]

OPSET: Final = 17
IR_VERSION: Final = 9


class _Graph:
    """ONNX nodes in order. Weights are kept as float16 and cast back; the runtime folds the casts when it loads."""

    def __init__(self) -> None:
        import onnx

        self.onnx = onnx
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def constant(self, name: str, values: npt.NDArray[Any], kind: str = "float16") -> str:
        if values.dtype.kind == "i":
            self.weights.append(self.onnx.numpy_helper.from_array(values, name))
            return name
        self.weights.append(
            self.onnx.numpy_helper.from_array(np.ascontiguousarray(values.astype(kind)), f"{name}.{kind}")
        )
        self.nodes.append(self.onnx.helper.make_node("Cast", [f"{name}.{kind}"], [name], to=1))
        return name

    def add(self, operator: str, inputs: list[str], **attributes: Any) -> str:
        name = f"{operator}{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(operator, inputs, [name], **attributes))
        return name

    def convolve(self, x: str, layer: nn.Conv2d, norm: nn.BatchNorm2d) -> str:
        """A convolution with the normalisation that follows it folded in."""
        assert norm.running_mean is not None and norm.running_var is not None
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        weights = layer.weight * scale[:, None, None, None]
        biases = norm.bias - norm.running_mean * scale
        name = f"layer{len(self.nodes)}"
        high, wide = (int(size) for size in layer.padding)
        return self.add(
            "Conv",
            [
                x,
                self.constant(f"{name}.weight", weights.detach().numpy()),
                self.constant(f"{name}.bias", biases.detach().numpy(), "float32"),
            ],
            kernel_shape=list(layer.kernel_size),
            strides=list(layer.stride),
            pads=[high, wide, high, wide],
            group=layer.groups,
        )


def check_installed() -> None:
    """Raise ``MissingPackage`` where onnx is not installed."""
    try:
        import onnx  # noqa: F401
    except ImportError:
        raise MissingPackage("onnx", "train", "writing a student") from None


def export(student: Student, head: str, path: Path) -> None:
    """Write the network and one of its heads: log-mel ``(n, frames, bins)`` to ``(n, windows, size)``, float32.

    Scores come out as probabilities. Weights lie in the file as float16, everything is computed in float32. Raises
    ``MissingPackage`` where onnx is not installed.
    """
    check_installed()
    from onnx import TensorProto, helper, save_model

    student = student.eval()
    network = student.network
    graph = _Graph()
    x = graph.add("Sub", ["mels", graph.constant("mean", network.mean.numpy(), "float32")])
    x = graph.add("Mul", [x, graph.constant("scale", network.scale.numpy(), "float32")])
    x = graph.add("Unsqueeze", [x, graph.constant("channel", np.array([1], dtype=np.int64))])
    x = graph.add("Relu", [graph.convolve(x, network.stem, network.stem_norm)])
    for block in network.blocks:
        y = graph.add("Relu", [graph.convolve(x, block.depth, block.depth_norm)])  # type: ignore[arg-type]
        y = graph.convolve(y, block.point, block.point_norm)  # type: ignore[arg-type]
        x = graph.add("Relu", [graph.add("Add", [y, x]) if block.residual else y])
    x = graph.add("Relu", [graph.convolve(x, network.last, network.last_norm)])
    x = graph.add("AveragePool", [x], kernel_shape=[student.window, 1], strides=[student.hop, 1])
    layer = student.heads[head]
    assert isinstance(layer, nn.Linear)
    weights = layer.weight.detach().numpy()[:, :, None, None]
    biases = graph.constant("head.bias", layer.bias.detach().numpy(), "float32")
    x = graph.add("Conv", [x, graph.constant("head.weight", weights), biases], kernel_shape=[1, 1])
    if head == "scores":
        x = graph.add("Sigmoid", [x])
    x = graph.add("Squeeze", [x, graph.constant("band", np.array([3], dtype=np.int64))])
    graph.nodes.append(helper.make_node("Transpose", [x], ["windows"], perm=[0, 2, 1]))
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "student",
            [helper.make_tensor_value_info("mels", TensorProto.FLOAT, ["n", "frames", network.shape.bins])],
            [helper.make_tensor_value_info("windows", TensorProto.FLOAT, ["n", "windows", layer.out_features])],
            graph.weights,
        ),
        producer_name="analogon",
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    save_model(model, str(path))
