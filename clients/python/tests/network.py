"""A small network with layers worth compressing, and samples for it."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CHANNELS = [8, 24, 32]
SIDE = 8
CLASSES = 4


def samples(count: int = 128, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, CHANNELS[0], SIDE, SIDE), dtype=np.float32)


def model() -> bytes:
    random = np.random.default_rng(1)
    nodes, weights, name = [], [], "x"
    for i, (before, after) in enumerate(zip(CHANNELS, CHANNELS[1:])):
        scale = np.float32((9 * before) ** -0.5)
        weights.append(
            numpy_helper.from_array(random.standard_normal((after, before, 3, 3), dtype=np.float32) * scale, f"w{i}")
        )
        nodes.append(helper.make_node("Conv", [name, f"w{i}"], [f"c{i}"], name=f"conv{i}", pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [f"c{i}"], [f"a{i}"]))
        name = f"a{i}"
    weights.append(numpy_helper.from_array(random.standard_normal((CLASSES, CHANNELS[-1]), dtype=np.float32), "w"))
    weights.append(numpy_helper.from_array(np.zeros(CLASSES, np.float32), "b"))
    nodes += [
        helper.make_node("GlobalAveragePool", [name], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w", "b"], ["y"], name="classes", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", CHANNELS[0], SIDE, SIDE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", CLASSES])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()


if __name__ == "__main__":
    import sys
    from pathlib import Path

    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(model())
    np.savez(folder / "calibration.npz", x=samples())
    onnx.checker.check_model(str(folder / "model.onnx"))
