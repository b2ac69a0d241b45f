"""The plainest data-driven low-rank compression, as a yardstick: what does the whole method add to this?

    python linear_baseline.py model.onnx calibration.npz evaluation.npz --ratios 4 8 16 [--save DIR]

Every layer is projected on the leading eigenvectors of the covariance of its linear response on the calibration
images: with `y = W x + b`, mean `m` and the leading eigenvectors `V` of cov(y), the layer becomes
`y ~ V V' (W x + b) + (I - V V') m`, a k x k convolution to `rank` channels and a 1 x 1 convolution. Ranks are chosen
greedily: the step that loses the smallest share of its layer's response energy per parameter saved is taken next.
No ADMM, no sparse part, no activation, no refit on the compressed network's own inputs.

Only Conv (group 1) and Gemm layers are touched; batch norm behind a convolution is folded first.
"""

import argparse
import time
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import ModelProto, NodeProto, helper, numpy_helper

SEED = 3
STEP = 8  # ranks are multiples of this, as in the service
PLACES_PER_IMAGE = 16  # output positions sampled from every calibration image


@dataclass
class Layer:
    node: NodeProto
    weight: np.ndarray  # [m, d...]
    bias: np.ndarray
    places: int = 0
    mean: np.ndarray = field(default_factory=lambda: np.zeros(0))
    energy: np.ndarray = field(default_factory=lambda: np.zeros(0))  # eigenvalues, falling
    vectors: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    rank: int | None = None  # None: dense

    @property
    def m(self) -> int:
        return self.weight.shape[0]

    @property
    def d(self) -> int:
        return prod(self.weight.shape[1:])

    def weights(self, rank: int | None) -> int:
        return self.m * self.d if rank is None else rank * (self.m + self.d)

    def lost(self, rank: int | None) -> float:
        """The share of the response's energy that is dropped."""
        return 0.0 if rank is None else float(self.energy[rank:].sum() / max(self.energy.sum(), 1e-30))

    def smaller(self) -> list[int]:
        """Ranks that may follow, the largest first."""
        top = (self.m * self.d - 1) // (self.m + self.d) if self.rank is None else self.rank - 1
        return list(range(top // STEP * STEP, 0, -STEP))


def session_of(model: ModelProto, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def attributes(node: NodeProto) -> dict:
    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def fold_batch_norm(model: ModelProto) -> None:
    graph = model.graph
    tensors = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    producer = {name: node for node in graph.node for name in node.output}
    for norm in [node for node in graph.node if node.op_type == "BatchNormalization"]:
        conv = producer.get(norm.input[0])
        readers = [node for node in graph.node if norm.input[0] in node.input]
        if conv is None or conv.op_type != "Conv" or len(readers) != 1:
            continue
        scale, shift, mean, variance = (tensors[name].astype(np.float64) for name in norm.input[1:5])
        gain = scale / np.sqrt(variance + attributes(norm).get("epsilon", 1e-5))
        weight = tensors[conv.input[1]]
        bias = tensors[conv.input[2]] if len(conv.input) > 2 else 0.0
        folded = weight * gain.reshape(-1, *[1] * (weight.ndim - 1)), (bias - mean) * gain + shift
        names = [f"{norm.output[0]}_folded_{part}" for part in ("weight", "bias")]
        graph.initializer.extend(numpy_helper.from_array(t.astype(np.float32), n) for t, n in zip(folded, names))
        conv.input[:] = [conv.input[0], *names]
        conv.output[0] = norm.output[0]
        graph.node.remove(norm)
    drop_unused(model)


def drop_unused(model: ModelProto) -> None:
    used = {name for node in model.graph.node for name in node.input}
    kept = [t for t in model.graph.initializer if t.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)


def find_layers(model: ModelProto) -> list[Layer]:
    tensors = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    layers = []
    for node in model.graph.node:
        if node.op_type not in ("Conv", "Gemm") or len(node.input) < 2 or node.input[1] not in tensors:
            continue
        options = attributes(node)
        if options.get("group", 1) != 1 or options.get("transA", 0) or options.get("alpha", 1) != 1:
            continue
        weight = tensors[node.input[1]].astype(np.float64)
        if node.op_type == "Gemm" and not options.get("transB", 0):
            weight = weight.T
        bias = tensors[node.input[2]].astype(np.float64).ravel() if len(node.input) > 2 else np.zeros(len(weight))
        layers.append(Layer(node, weight, bias))
    return layers


def measure(model: ModelProto, layers: list[Layer], images: np.ndarray, threads: int, batch: int = 32) -> None:
    """Fills in mean, eigenvalues and eigenvectors of every layer's response."""
    probe = ModelProto()
    probe.CopyFrom(model)
    names = [layer.node.output[0] for layer in layers]
    present = {value.name for value in probe.graph.output}
    probe.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in present)
    session = session_of(probe, threads)
    input_name = session.get_inputs()[0].name
    random = np.random.default_rng(SEED)
    sums = [np.zeros(layer.m) for layer in layers]
    squares = [np.zeros((layer.m, layer.m)) for layer in layers]
    counts = [0] * len(layers)
    for at in range(0, len(images), batch):
        for i, response in enumerate(session.run(names, {input_name: images[at : at + batch].astype(np.float32)})):
            layers[i].places = prod(response.shape[2:])
            rows = response.reshape(*response.shape[:2], -1)
            if layers[i].places > PLACES_PER_IMAGE:
                rows = rows[:, :, random.choice(layers[i].places, PLACES_PER_IMAGE, replace=False)]
            rows = rows.transpose(0, 2, 1).reshape(-1, layers[i].m).astype(np.float64)
            sums[i] += rows.sum(0)
            squares[i] += rows.T @ rows
            counts[i] += len(rows)
    for layer, total, square, count in zip(layers, sums, squares, counts):
        layer.mean = total / count
        values, vectors = np.linalg.eigh(square / count - np.outer(layer.mean, layer.mean))
        layer.energy, layer.vectors = values[::-1].clip(0), vectors[:, ::-1]


def allocate(layers: list[Layer], ratio: float) -> None:
    """Greedy: of all next steps, the one that loses the least energy for every parameter it saves."""
    for layer in layers:
        layer.rank = None
    biases = sum(layer.m for layer in layers)
    total = sum(layer.weights(None) for layer in layers) + biases
    while sum(layer.weights(layer.rank) for layer in layers) + biases > total / ratio:
        steps = [
            ((layer.lost(rank) - layer.lost(layer.rank)) / (layer.weights(layer.rank) - layer.weights(rank)), i, rank)
            for i, layer in enumerate(layers)
            for rank in layer.smaller()[:1]
        ]
        if not steps:
            raise SystemExit(f"{ratio}x cannot be reached")
        _, i, rank = min(steps)
        layers[i].rank = rank


def compress(model: ModelProto, layers: list[Layer]) -> ModelProto:
    result = ModelProto()
    result.CopyFrom(model)
    chosen = {layer.node.output[0]: layer for layer in layers if layer.rank is not None}
    nodes = []
    for node in result.graph.node:
        layer = chosen.get(node.output[0])
        if layer is None:
            nodes.append(node)
            continue
        kept = layer.vectors[:, : layer.rank]
        inner = kept.T @ layer.weight.reshape(layer.m, -1)
        # The part of the response that is dropped keeps its mean.
        bias = kept @ (kept.T @ layer.bias) + layer.mean - kept @ (kept.T @ layer.mean)
        name = f"{node.output[0]}_linear"
        conv = node.op_type == "Conv"
        tensors = {
            f"{name}_inner": inner.reshape(-1, *layer.weight.shape[1:]),
            f"{name}_outer": kept.reshape(layer.m, -1, *[1] * (layer.weight.ndim - 2)),
            f"{name}_bias": bias,
        }
        result.graph.initializer.extend(numpy_helper.from_array(t.astype(np.float32), n) for n, t in tensors.items())
        first = NodeProto()
        first.CopyFrom(node)
        first.name = f"{name}_first"
        first.input[:] = [node.input[0], f"{name}_inner"]
        first.output[:] = [name]
        if not conv:
            del first.attribute[:]
            first.attribute.append(helper.make_attribute("transB", 1))
        options = {} if conv else {"transB": 1}
        second = helper.make_node(
            node.op_type, [name, f"{name}_outer", f"{name}_bias"], [node.output[0]], f"{name}_second", **options
        )
        nodes += [first, second]
    del result.graph.node[:]
    result.graph.node.extend(nodes)
    drop_unused(result)
    return result


def accuracy(session: onnxruntime.InferenceSession, x: np.ndarray, y: np.ndarray) -> float:
    name = session.get_inputs()[0].name
    parts = [session.run(None, {name: x[i : i + 100].astype(np.float32)})[0].argmax(1) for i in range(0, len(x), 100)]
    return 100 * float((np.concatenate(parts) == y).mean())


def speedup(before, after, x: np.ndarray, runs: int) -> tuple[float, float, float]:
    """Medians in milliseconds, and the median of the ratios of neighbouring runs."""
    name = before.get_inputs()[0].name
    times: list[list[float]] = [[], []]
    for run in range(runs + 3):
        # Swapping the order lets a drift of the machine hit both.
        for which in (0, 1) if run % 2 == 0 else (1, 0):
            started = time.perf_counter()
            (before, after)[which].run(None, {name: x})
            if run >= 3:
                times[which].append(1000 * (time.perf_counter() - started))
    first, second = np.array(times)
    return float(np.median(first)), float(np.median(second)), float(np.median(first / second))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("calibration", type=Path)
    parser.add_argument("evaluation", type=Path)
    parser.add_argument("--ratios", type=float, nargs="+", default=[4, 8, 16])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--save", type=Path, help="folder for the compressed models")
    args = parser.parse_args()

    model = onnx.load(str(args.model))
    fold_batch_norm(model)
    layers = find_layers(model)
    measure(model, layers, np.load(args.calibration)["x"], args.threads)
    with np.load(args.evaluation) as data:
        x, y = data["x"], data["y"]
    dense = session_of(model, args.threads)
    base = accuracy(dense, x, y)
    parameters = sum(layer.weights(None) + layer.m for layer in layers)
    macs = sum(layer.weights(None) * layer.places for layer in layers)
    print(f"{args.model.name}: {parameters:,} parameters, {macs:,} MACs, {base:.2f} % on {len(x):,} images")
    print("| asked | parameters | MACs | accuracy | points | speed, batch 1 | speed, batch 32 |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for ratio in args.ratios:
        allocate(layers, ratio)
        small = compress(model, layers)
        if args.save is not None:
            args.save.mkdir(parents=True, exist_ok=True)
            onnx.save(small, str(args.save / f"{args.model.stem}-linear-{ratio:g}x.onnx"))
        session = session_of(small, args.threads)
        reached = accuracy(session, x, y)
        fewer = parameters / sum(layer.weights(layer.rank) + layer.m for layer in layers)
        faster = macs / sum(layer.weights(layer.rank) * layer.places for layer in layers)
        speeds = []
        for batch in (1, 32):
            before, after, gain = speedup(dense, session, x[:batch].astype(np.float32), args.runs)
            speeds.append(f"{gain:.2f}x ({before:.2f} to {after:.2f} ms)")
        row = [f"{ratio:g}x", f"{fewer:.2f}x", f"{faster:.2f}x", f"{reached:.2f} %", f"{reached - base:+.2f}", *speeds]
        print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
