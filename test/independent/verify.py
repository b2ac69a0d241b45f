"""Reads a compressed model with tools that share no code with the service, and holds its report against what they find.

    python verify.py --original model.onnx --compressed compressed.onnx --report report.json [--evaluation evaluation.npz]

Models are .onnx files, or zips of one .onnx file with its external data. Exits 1 and lists every disagreement.

Parameters of the weighted layers: the elements of all weights and biases of Conv, ConvTranspose, Gemm and MatMul nodes
with constant weights, each tensor counted once, and as many of them as the operator sees, however they are stored; a constant added to the result of a MatMul is its bias. A layer without
bias that is followed by batch norm counts one bias for every output channel, since that is what the batch norm becomes
when it is folded. Multiply-accumulates are counted for one sample, from the shapes that ONNX Runtime produces.
"""

import argparse
import json
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from math import isclose, prod
from pathlib import Path, PurePosixPath

import numpy as np
import onnx
import onnxruntime
from google.protobuf.message import DecodeError
from onnx import ModelProto, NodeProto
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

OrtError = (ort_errors.Fail, ort_errors.InvalidArgument, ort_errors.InvalidGraph, ort_errors.InvalidProtobuf)
LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
FLOATS = {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16, onnx.TensorProto.DOUBLE}
# Operators that a constant weight may come through; Gather: a codebook and its indices; Mul: numbers and their scales.
PASS_THROUGH = {"DequantizeLinear": 0, "Cast": 0, "Identity": 0, "Reshape": 0, "Transpose": 0, "Gather": 1, "Mul": 0}
RATIO_TOLERANCE = 1e-6
# Two engines may round a tie differently: this many samples of the evaluation set may fall on the other side.
SAMPLES_TOLERANCE = 1


class Problems(list[str]):
    def expect(self, fine: bool, message: str) -> None:
        print(("ok    " if fine else "WRONG ") + message)
        if not fine:
            self.append(message)


@dataclass
class Layer:
    node: NodeProto
    weight: str
    elements: int
    biases: dict[str, int]
    folded_bias: int


class Model:
    def __init__(self, path: Path, folder: Path) -> None:
        self.file_bytes = path.stat().st_size
        self.path = unpack(path, folder) if zipfile.is_zipfile(path) else path
        onnx.checker.check_model(str(self.path), full_check=True)
        self.proto: ModelProto = onnx.load(str(self.path))
        graph = self.proto.graph
        self.sizes = {tensor.name: prod(tensor.dims) for tensor in graph.initializer}
        self.decoded: dict[str, int] = {}
        for node in graph.node:
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                self.sizes[node.output[0]] = prod(node.attribute[0].t.dims)
        # What a weight that is decoded in the graph comes to.
        for value in onnx.shape_inference.infer_shapes(self.proto).graph.value_info:
            axes = value.type.tensor_type.shape.dim
            if all(axis.HasField("dim_value") for axis in axes):
                self.decoded[value.name] = prod(axis.dim_value for axis in axes)
        self.producer = {name: node for node in graph.node for name in node.output}
        self.readers: dict[str, list[NodeProto]] = {}
        for node in graph.node:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)
        initializers = {tensor.name for tensor in graph.initializer}
        self.inputs = [describe(value) for value in graph.input if value.name not in initializers]
        self.outputs = [describe(value) for value in graph.output]
        self.layers = [layer for node in graph.node if (layer := self.layer(node)) is not None]
        self.session = open_session(str(self.path))

    def constant(self, name: str) -> str | None:
        """The stored tensor behind a weight, or None when the weight depends on the input."""
        while name not in self.sizes:
            node = self.producer.get(name)
            if node is None or node.op_type not in PASS_THROUGH:
                return None
            if node.op_type in ("Gather", "Mul") and self.constant(node.input[1 - PASS_THROUGH[node.op_type]]) is None:
                return None
            name = node.input[PASS_THROUGH[node.op_type]]
        return name

    def layer(self, node: NodeProto) -> Layer | None:
        if node.op_type not in LAYERS or node.domain not in ("", "ai.onnx"):
            return None
        weight = self.constant(node.input[1])
        if weight is None:
            return None
        biases: dict[str, int] = {}
        if len(node.input) > 2 and node.input[2]:
            name = self.constant(node.input[2])
            if name is not None:
                biases[name] = self.sizes[name]
        readers = self.readers.get(node.output[0], [])
        follower = readers[0] if len(readers) == 1 else None
        if node.op_type == "MatMul" and follower is not None and follower.op_type == "Add":
            other = self.constant(next((name for name in follower.input if name != node.output[0]), ""))
            if other is not None:
                biases[other] = self.sizes[other]
        norm = follower if follower is not None and follower.op_type == "BatchNormalization" else None
        folded = 0 if norm is None or biases else self.sizes[norm.input[2]]
        return Layer(node, weight, self.decoded.get(node.input[1], self.sizes[weight]), biases, folded)

    def layer_parameters(self) -> int:
        counted: dict[str, int] = {}
        for layer in self.layers:
            counted[layer.weight] = layer.elements
            counted.update(layer.biases)
        return sum(counted.values()) + sum(layer.folded_bias for layer in self.layers)

    def float_elements(self) -> int:
        return sum(prod(tensor.dims) for tensor in self.proto.graph.initializer if tensor.data_type in FLOATS)

    def macs(self, sample: np.ndarray) -> int:
        probe = ModelProto()
        probe.CopyFrom(self.proto)
        names = list(dict.fromkeys(name for layer in self.layers for name in (layer.node.input[0], layer.node.output[0])))
        present = {value.name for value in (*probe.graph.output, *probe.graph.input)}
        probe.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in present)
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = open_session(probe.SerializeToString(), options)
        wanted = [value.name for value in session.get_outputs()]
        feed = {self.inputs[0][0]: sample}
        shapes = dict(zip(wanted, (value.shape for value in session.run(wanted, feed))))
        shapes[self.inputs[0][0]] = sample.shape
        total = 0
        for layer in self.layers:
            before, after = shapes[layer.node.input[0]], shapes[layer.node.output[0]]
            if layer.node.op_type == "Conv":
                places = prod(after[2:])
            elif layer.node.op_type == "ConvTranspose":
                places = prod(before[2:])
            else:
                places = prod(after[:-1])
            total += layer.elements * places
        return total

    def run(self, x: np.ndarray) -> np.ndarray:
        return self.session.run(None, {self.inputs[0][0]: x})[0]

    def accuracy(self, x: np.ndarray, y: np.ndarray) -> float:
        parts = [self.run(x[at : at + 100].astype(np.float32)).argmax(1) for at in range(0, len(x), 100)]
        return float((np.concatenate(parts) == y).mean())


def open_session(model: str | bytes, options: onnxruntime.SessionOptions | None = None) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def describe(value: onnx.ValueInfoProto) -> tuple[str, int, tuple[int | str, ...]]:
    """Name, element type, and axes: a number, or "?" for one that is free."""
    tensor = value.type.tensor_type
    axes = tuple(axis.dim_value if axis.HasField("dim_value") else "?" for axis in tensor.shape.dim)
    return value.name, tensor.elem_type, axes


def unpack(path: Path, folder: Path) -> Path:
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                raise SystemExit(f"{path}: {name} would be written outside of the folder")
        archive.extractall(folder)
    models = sorted(folder.rglob("*.onnx"))
    if len(models) != 1:
        raise SystemExit(f"{path} must hold one .onnx file, it holds {len(models)}")
    return models[0]


def compare_counts(problems: Problems, metrics: dict, name: str, before: int, after: int) -> None:
    said = metrics[name]
    problems.expect(said["before"] == before, f"{name} before: report {said['before']:,}, found {before:,}")
    problems.expect(said["after"] == after, f"{name} after: report {said['after']:,}, found {after:,}")
    ratio = before / after
    fine = isclose(said["ratio"], ratio, rel_tol=RATIO_TOLERANCE)
    problems.expect(fine, f"{name} ratio: report {said['ratio']:.4f}, found {ratio:.4f}")


def compare_runs(problems: Problems, original: Model, compressed: Model, sample_axes: tuple[int, ...]) -> None:
    random = np.random.default_rng(1)
    # A fixed batch stays fixed; only a free one is tried with other sizes.
    first = original.inputs[0][2][0]
    for batch in (1, 7) if first == "?" else (first,):
        x = random.uniform(0, 255, (batch, *sample_axes)).astype(np.float32)
        expected, got = original.run(x), compressed.run(x)
        fine = expected.shape == got.shape and bool(np.isfinite(got).all())
        problems.expect(fine, f"batch {batch}: output {list(got.shape)}, finite, shaped as the original's")
        single = np.concatenate([compressed.run(x[i : i + 1]) for i in range(batch)]) if first == "?" else got
        spread = float(np.abs(single - got).max() / (np.abs(got).max() + 1e-12))
        problems.expect(spread < 1e-4, f"batch {batch}: same answers one by one (relative difference {spread:.1e})")


def compare_accuracy(problems: Problems, metrics: dict, original: Model, compressed: Model, path: Path) -> None:
    with np.load(path) as data:
        x, y = data["x"], data["y"]
    said = metrics["accuracy"]
    before, after = original.accuracy(x, y), compressed.accuracy(x, y)
    print(f"      accuracy on {len(x):,} samples: {before:.4f} before, {after:.4f} after")
    if said is None:
        problems.expect(False, "the report has no accuracy although there is an evaluation set")
        return
    problems.expect(said["samples"] == len(x), f"accuracy samples: report {said['samples']}, found {len(x)}")
    allowed = SAMPLES_TOLERANCE / len(x) + 1e-9
    for name, found, slack in (("before", before, 1), ("after", after, 1), ("drop", before - after, 2)):
        fine = abs(said[name] - found) <= slack * allowed
        problems.expect(fine, f"accuracy {name}: report {said[name]:.4f}, found {found:.4f}")


def verify(args: argparse.Namespace, folder: Path) -> Problems:
    problems = Problems()
    metrics = json.loads(args.report.read_text())["metrics"]
    original = Model(args.original, folder / "original")
    compressed = Model(args.compressed, folder / "compressed")
    print("ok    both models pass the ONNX checker and load in ONNX Runtime")

    problems.expect(original.inputs == compressed.inputs, f"same inputs: {original.inputs} {compressed.inputs}")
    problems.expect(original.outputs == compressed.outputs, f"same outputs: {original.outputs} {compressed.outputs}")
    if problems:
        return problems  # The two cannot be run on the same data.
    sample_axes = tuple(original.inputs[0][2][1:]) if args.sample is None else tuple(args.sample)
    if "?" in sample_axes:
        raise SystemExit(f"the input has free axes besides the batch: {sample_axes}; give --sample C H W")

    compare_counts(problems, metrics, "parameters", original.layer_parameters(), compressed.layer_parameters())
    print(f"      all float initializers: {original.float_elements():,} before, {compressed.float_elements():,} after")
    compare_counts(problems, metrics, "bytes", original.file_bytes, compressed.file_bytes)
    sample = np.zeros((1, *sample_axes), np.float32)
    if original.inputs[0][2][0] in ("?", 1):
        compare_counts(problems, metrics, "macs", original.macs(sample), compressed.macs(sample))
    compare_runs(problems, original, compressed, sample_axes)
    if args.evaluation is not None:
        compare_accuracy(problems, metrics, original, compressed, args.evaluation)
    return problems


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--original", type=Path, required=True)
    parser.add_argument("--compressed", type=Path, required=True)
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--evaluation", type=Path)
    parser.add_argument("--sample", type=int, nargs="+", help="shape of one sample, when the model leaves it free")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        try:
            problems = verify(args, Path(folder))
        except (onnx.checker.ValidationError, DecodeError, *OrtError, KeyError, TypeError, ValueError, OSError) as error:
            sys.exit(f"cannot be verified: {type(error).__name__}: {error}")
    if problems:
        print(f"\n{len(problems)} disagreement(s):", *problems, sep="\n  ", file=sys.stderr)
        sys.exit(1)
    print("\nThe report agrees with what was found.")


if __name__ == "__main__":
    main()
