"""Networks of common ONNX operators as torch modules, and back: the peers in PyTorch replace their layers."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from linear_baseline import attributes, fold_batch_norm
from onnx import ModelProto, NodeProto, numpy_helper
from torch import Tensor, nn
from torch.nn import functional

OPSET = 17

Layers = nn.Conv2d | nn.Linear


def simplified(path: Path) -> ModelProto:
    """With constants computed and batch norm in the convolution before it."""
    model = onnx.load(str(path))
    fold_batch_norm(model)
    with tempfile.TemporaryDirectory() as directory:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = f"{directory}/simplified.onnx"
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return onnx.load(options.optimized_model_filepath)


def symmetric_pads(options: dict) -> tuple[int, int] | None:
    pads = tuple(options.get("pads", [0, 0, 0, 0]))
    return pads[:2] if pads[:2] == pads[2:] and options.get("auto_pad", b"NOTSET") == b"NOTSET" else None


def padded(x: Tensor, options: dict, value: float = 0.0) -> Tensor:
    """With that padding of a convolution or a pool around its last two axes which torch's own cannot have."""
    if symmetric_pads(options) is not None:
        return x
    pads = list(options.get("pads", [0, 0, 0, 0]))
    auto = options.get("auto_pad", b"NOTSET")
    if auto in (b"SAME_UPPER", b"SAME_LOWER"):
        for axis, kernel in enumerate(options["kernel_shape"]):
            size, stride = x.shape[2 + axis], options.get("strides", [1, 1])[axis]
            reach = (kernel - 1) * options.get("dilations", [1, 1])[axis] + 1
            total = max((-(-size // stride) - 1) * stride + reach - size, 0)
            less, more = total // 2, total - total // 2
            pads[axis], pads[axis + 2] = (less, more) if auto == b"SAME_UPPER" else (more, less)
    top, left, bottom, right = pads
    return functional.pad(x, (left, right, top, bottom), value=value) if any(pads) else x


def pool(x: Tensor, options: dict, of: Callable[..., Tensor], value: float) -> Tensor:
    if options.get("ceil_mode", 0):
        raise SystemExit("pools that round up are not understood")
    if of is functional.avg_pool2d and any(options.get("pads", [])) and not options.get("count_include_pad", 0):
        raise SystemExit("averages that leave out the padding are not understood")
    own = symmetric_pads(options) or (0, 0)
    return of(padded(x, options, value), tuple(options["kernel_shape"]), tuple(options.get("strides", [1, 1])), own)


def pad(x: Tensor, pads: Tensor, value: Tensor | None = None, *_: Tensor) -> Tensor:
    begin, end = pads.reshape(2, -1).tolist()
    flat = [size for pair in reversed(list(zip(begin, end))) for size in pair]
    return functional.pad(x, [int(size) for size in flat], value=0.0 if value is None else float(value))


def cut(x: Tensor, begin: Tensor, end: Tensor, axes: Tensor, steps: Tensor | None = None) -> Tensor:
    places = [slice(None)] * x.ndim
    for i, axis in enumerate(axes.tolist()):
        stop = min(int(end[i]), 2**31)
        places[axis] = slice(int(begin[i]), stop, 1 if steps is None else int(steps[i]))
    return x[tuple(places)]


def reshaped(x: Tensor, shape: Tensor) -> Tensor:
    sizes = [x.shape[i] if size == 0 else int(size) for i, size in enumerate(shape.tolist())]
    # The first axis is that of the samples, whatever number the file has.
    return x.reshape(x.shape[0], *sizes[1:])


def affine(x: Tensor, scale: Tensor, shift: Tensor, mean: Tensor, variance: Tensor, epsilon: float) -> Tensor:
    return functional.batch_norm(x, mean, variance, scale, shift, eps=epsilon)


def enlarged(x: Tensor, *inputs: Tensor | None, mode: bytes = b"nearest", **_: object) -> Tensor:
    if mode != b"nearest" or len(inputs) != 2:
        raise SystemExit("only pictures that are enlarged by the nearest pixel are understood")
    return functional.interpolate(x, scale_factor=tuple(inputs[1].tolist()[2:]), mode="nearest")


def spread(x: Tensor, blocksize: int, mode: bytes = b"DCR") -> Tensor:
    if mode != b"CRD":
        channels = x.shape[1] // blocksize**2
        x = x.unflatten(1, (blocksize**2, channels)).transpose(1, 2).flatten(1, 2)
    return functional.pixel_shuffle(x, blocksize)


# What takes the values of the node's inputs, and its attributes.
OPERATORS: dict[str, Callable[..., Tensor]] = {
    "Add": lambda x, y, **_: x + y,
    "Sub": lambda x, y, **_: x - y,
    "Mul": lambda x, y, **_: x * y,
    "Div": lambda x, y, **_: x / y,
    "Max": lambda x, y, **_: torch.maximum(x, y),
    "Relu": lambda x, **_: functional.relu(x),
    "LeakyRelu": lambda x, alpha=0.01, **_: functional.leaky_relu(x, alpha),
    "Clip": lambda x, low=None, high=None, **_: x.clamp(low, high),
    "HardSwish": lambda x, **_: functional.hardswish(x),
    "HardSigmoid": lambda x, alpha=0.2, beta=0.5, **_: (alpha * x + beta).clamp(0, 1),
    "Sigmoid": lambda x, **_: x.sigmoid(),
    "Softmax": lambda x, axis=-1, **_: x.softmax(axis),
    "MaxPool": lambda x, **options: pool(x, options, functional.max_pool2d, -torch.inf),
    "AveragePool": lambda x, **options: pool(x, options, functional.avg_pool2d, 0.0),
    "GlobalAveragePool": lambda x, **_: x.mean((2, 3), keepdim=True),
    "Flatten": lambda x, **_: x.flatten(1),
    "Reshape": lambda x, shape, **_: reshaped(x, shape),
    "Shape": lambda x, **_: torch.tensor(x.shape),
    "Resize": enlarged,
    "DepthToSpace": spread,
    "BatchNormalization": lambda x, *rest, epsilon=1e-5, **_: affine(x, *rest, epsilon),
    "Transpose": lambda x, perm, **_: x.permute(perm),
    "Concat": lambda *x, axis, **_: torch.cat(x, axis),
    "Slice": lambda *x, **_: cut(*x),
    "Pad": lambda *x, **_: pad(*x),
    "Identity": lambda x, **_: x,
    # Bytes to numbers: all that is computed here is floating point.
    "Cast": lambda x, **_: x,
}


class Network(nn.Module):
    """Runs the nodes of a graph in their order. Those with weights are modules, by the name of what they give."""

    def __init__(self, model: ModelProto) -> None:
        super().__init__()
        graph = model.graph
        self.nodes: list[NodeProto] = list(graph.node)
        self.given = graph.input[0].name
        dims = graph.input[0].type.tensor_type.shape.dim
        self.flexible = [axis for axis, dim in enumerate(dims) if axis == 0 or not dim.HasField("dim_value")]
        self.results = [value.name for value in graph.output]
        self.layers = nn.ModuleDict()
        self.constants: dict[str, Tensor] = {}
        if len(graph.input) > 1:
            raise SystemExit("networks of several inputs are not understood")
        for tensor in graph.initializer:
            values = torch.from_numpy(numpy_helper.to_array(tensor).copy())
            self.constants[tensor.name] = values.float() if values.is_floating_point() else values
        for node in self.nodes:
            module = layer_of(node, self.constants)
            if module is not None:
                self.layers[key_of(node)] = module
            elif node.op_type not in OPERATORS:
                raise SystemExit(f"{node.op_type} {node.name} is not understood: only common operators are")
        last_reader = {name: i for i, node in enumerate(self.nodes) for name in node.input}
        self.finished = [[n for n in node.input if last_reader[n] == i] for i, node in enumerate(self.nodes)]

    def values(self, x: Tensor, wanted: list[str]) -> list[Tensor]:
        """Of the named tensors; what no node reads any more is forgotten."""
        values = {self.given: x}
        for node, finished in zip(self.nodes, self.finished):
            if key_of(node) in self.layers:
                values[node.output[0]] = self.layers[key_of(node)](fed(node, values[node.input[0]]))
            else:
                inputs = [values[n] if n in values else self.constants[n] if n else None for n in node.input]
                values[node.output[0]] = OPERATORS[node.op_type](*inputs, **attributes(node))
            if all(name in values for name in wanted):
                break
            for name in finished:
                if name not in wanted:
                    values.pop(name, None)
        return [values[name] for name in wanted]

    def forward(self, x: Tensor) -> tuple[Tensor, ...] | Tensor:
        values = self.values(x, self.results)
        return values[0] if len(values) == 1 else tuple(values)

    def last_layers(self) -> list[nn.Module]:
        """Those whose responses are outputs, or become outputs without another layer."""
        return self.layers_before(self.results)

    def layers_before_sums(self) -> list[nn.Module]:
        """Those whose channels are the channels of a sum, and the last ones."""
        computed = {name for node in self.nodes for name in node.output}
        sums = [node.input for node in self.nodes if node.op_type == "Add" and computed.issuperset(node.input)]
        return self.layers_before([name for names in sums for name in names] + self.results)

    def layers_before(self, names: list[str]) -> list[nn.Module]:
        producers = {node.output[0]: node for node in self.nodes}
        waiting, seen, found = list(names), set(), []
        while waiting:
            name = waiting.pop()
            if name in seen or name not in producers:
                continue
            seen.add(name)
            node = producers[name]
            if key_of(node) in self.layers and not isinstance(self.layers[key_of(node)], nn.PReLU):
                found.append(self.layers[key_of(node)])
            else:
                waiting += node.input
        return found

    def weighted(self) -> dict[str, Layers]:
        """Convolutions and matrices, by their key in `layers`."""
        return {key: layer for key, layer in self.layers.items() if isinstance(layer, Layers)}


def fed(node: NodeProto, x: Tensor) -> Tensor:
    return padded(x, attributes(node)) if node.op_type == "Conv" else x


def key_of(node: NodeProto) -> str:
    return node.output[0].replace(".", "_")


def layer_of(node: NodeProto, constants: dict[str, Tensor]) -> nn.Module | None:
    """The module of a node whose weights are stored."""
    options = attributes(node)
    weight = constants.get(node.input[1]) if len(node.input) > 1 else None
    if weight is None or node.op_type not in ("Conv", "Gemm", "MatMul", "PRelu"):
        return None
    bias = constants[node.input[2]].flatten() if len(node.input) > 2 else None
    if node.op_type == "PRelu":
        module = nn.PReLU(weight.numel())
        module.weight.data = weight.flatten()
        return module
    if node.op_type == "Conv":
        if weight.ndim != 4:
            raise SystemExit(f"Conv {node.name} is not over two axes")
        group = options.get("group", 1)
        strides, dilations = tuple(options.get("strides", [1, 1])), tuple(options.get("dilations", [1, 1]))
        size = tuple(weight.shape[2:])
        module = nn.Conv2d(weight.shape[1] * group, weight.shape[0], size, strides, symmetric_pads(options) or 0, dilations, group)
    else:
        if weight.ndim != 2 or options.get("transA", 0):
            raise SystemExit(f"{node.op_type} {node.name} is not a plain matrix")
        weight = weight if options.get("transB", 0) else weight.T.contiguous()
        module = nn.Linear(weight.shape[1], weight.shape[0])
    module.weight.data = weight.clone()
    module.bias.data = torch.zeros(weight.shape[0]) if bias is None else bias.clone()
    return module


def read_network(path: Path) -> Network:
    return Network(simplified(path)).eval()


def read_samples(path: Path) -> np.ndarray:
    """Of the only input."""
    arrays = np.load(path)
    return arrays["x" if "x" in arrays.files else arrays.files[0]]


def parameters_of(network: nn.Module) -> int:
    """Weights and biases of the layers: a batch norm is folded before it is used."""
    layers = [module for module in network.modules() if isinstance(module, Layers)]
    return sum(p.numel() for layer in layers for p in layer.parameters())


def write_onnx(network: Network, path: Path, sample: np.ndarray) -> None:
    torch.onnx.export(
        network,
        (torch.from_numpy(sample[:2]).float(),),
        str(path),
        dynamo=False,
        opset_version=OPSET,
        input_names=[network.given],
        output_names=network.results,
        # What the outputs' axes are is for the runtime to find.
        dynamic_axes={network.given: network.flexible, **{name: [0] for name in network.results}},
    )
