"""Chains of ONNX operators as plain torch modules, and back: the peers in PyTorch work on `nn.Sequential`."""

from pathlib import Path

import numpy as np
import onnx
import torch
from linear_baseline import attributes, fold_batch_norm
from onnx import NodeProto, numpy_helper
from torch import Tensor, nn

OPSET = 17


class Arithmetic(nn.Module):
    """An elementwise operator with a constant, as the networks have them to normalise pixels."""

    def __init__(self, operator: str, constant: np.ndarray) -> None:
        super().__init__()
        self.operator = operator
        self.register_buffer("constant", torch.from_numpy(constant.astype(np.float32)))

    def forward(self, x: Tensor) -> Tensor:
        match self.operator:
            case "Sub":
                return x - self.constant
            case "Div":
                return x / self.constant
            case "Add":
                return x + self.constant
            case _:
                return x * self.constant


def symmetric_pads(options: dict) -> tuple[int, int]:
    pads = options.get("pads", [0, 0, 0, 0])
    if pads[:2] != pads[2:] or options.get("auto_pad", b"NOTSET") != b"NOTSET":
        raise SystemExit("only symmetric explicit padding is understood")
    return tuple(pads[:2])


def module_of(node: NodeProto, tensors: dict[str, np.ndarray]) -> nn.Module:
    options = attributes(node)
    constants = [torch.from_numpy(tensors[name].copy()) for name in node.input if name in tensors]
    match node.op_type:
        case "Conv":
            weight = constants[0]
            group = options.get("group", 1)
            module = nn.Conv2d(
                weight.shape[1] * group,
                weight.shape[0],
                tuple(weight.shape[2:]),
                tuple(options.get("strides", [1, 1])),
                symmetric_pads(options),
                tuple(options.get("dilations", [1, 1])),
                group,
            )
            module.weight.data = weight
            module.bias.data = constants[1] if len(constants) > 1 else torch.zeros(weight.shape[0])
            return module
        case "Gemm":
            weight = constants[0] if options.get("transB", 0) else constants[0].T.contiguous()
            module = nn.Linear(weight.shape[1], weight.shape[0])
            module.weight.data = weight
            module.bias.data = constants[1] if len(constants) > 1 else torch.zeros(weight.shape[0])
            return module
        case "Relu":
            return nn.ReLU()
        case "Flatten":
            return nn.Flatten()
        case "MaxPool":
            strides = tuple(options.get("strides", [1, 1]))
            return nn.MaxPool2d(tuple(options["kernel_shape"]), strides, symmetric_pads(options))
        case "Sub" | "Div" | "Add" | "Mul" if len(constants) == 1 and node.input[1] in tensors:
            return Arithmetic(node.op_type, tensors[node.input[1]])
    raise SystemExit(f"{node.op_type} {node.name} is not understood: only chains of common operators are")


def read_chain(path: Path) -> nn.Sequential:
    """A network whose operators form a chain; batch norm is folded into the convolution before it."""
    model = onnx.load(str(path))
    fold_batch_norm(model)
    graph = model.graph
    tensors = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    at, modules = graph.input[0].name, []
    for node in graph.node:
        if node.op_type == "Constant":
            tensors[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
            continue
        if node.input[0] != at:
            raise SystemExit(f"{node.op_type} {node.name} does not continue a chain")
        modules.append(module_of(node, tensors))
        at = node.output[0]
    return nn.Sequential(*modules).eval()


def parameters_of(network: nn.Module) -> int:
    """Weights and biases of the layers: a batch norm is folded before it is used."""
    layers = [module for module in network.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    return sum(p.numel() for layer in layers for p in layer.parameters())


def write_onnx(network: nn.Module, path: Path, sample: np.ndarray) -> None:
    torch.onnx.export(
        network,
        (torch.from_numpy(sample[:2]).float(),),
        str(path),
        dynamo=False,
        opset_version=OPSET,
        input_names=["pixels"],
        output_names=["logits"],
        dynamic_axes={"pixels": {0: "batch"}, "logits": {0: "batch"}},
    )
