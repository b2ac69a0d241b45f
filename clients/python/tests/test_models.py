"""Models in the forms that people have them in."""

from __future__ import annotations

import network
import numpy as np
import onnx
import pytest

from sparank._models import model_file


def test_files_and_bytes_are_sent_as_they_are(tmp_path):
    content = network.model()
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    assert model_file(path, None, None).filename == "net.onnx"
    assert model_file(bytearray(content), None, None).content == content
    assert onnx.load_from_string(model_file(onnx.load(path), None, None).content).graph.name == "small"
    with pytest.raises(TypeError, match="not int"):
        model_file(7, None, None)


def test_a_torch_module_keeps_its_weights_as_data():
    torch = pytest.importorskip("torch", reason="torch is not installed: its export is not tried")
    net = torch.nn.Sequential(
        torch.nn.Conv2d(8, 24, 3, padding=1),
        torch.nn.BatchNorm2d(24),
        torch.nn.ReLU(),
        torch.nn.Conv2d(24, 32, 3, padding=1),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(32, 4),
    )
    net.train()
    net[1].eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    exported = onnx.load_from_string(model_file(net, None, network.samples()).content)
    onnx.checker.check_model(exported)
    # Every layer's weights are there, under their names, with their values, and the modes are as they were.
    data = {one.name: onnx.numpy_helper.to_array(one) for one in exported.graph.initializer}
    for name in ("0.weight", "3.weight", "6.weight"):
        assert np.array_equal(data[name], before[name].numpy())
    assert [one.name for one in exported.graph.input] == ["input"]
    assert exported.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    assert [part.training for part in (net, net[0], net[1])] == [True, True, False]
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


@pytest.mark.filterwarnings("default")
def test_a_keras_model_is_exported():
    keras = pytest.importorskip("keras", reason="Keras is not installed: its export is not tried")
    pytest.importorskip("tf2onnx", reason="tf2onnx is not installed: the export of Keras is not tried")
    net = keras.Sequential(
        [keras.Input((8, 8, 8)), keras.layers.Conv2D(16, 3), keras.layers.Flatten(), keras.layers.Dense(4)]
    )
    exported = onnx.load_from_string(model_file(net, None, None).content)
    onnx.checker.check_model(exported)
    kinds = {one.op_type for one in exported.graph.node}
    assert "Conv" in kinds
    # A network without an input of its own learns from the samples what it is called with.
    unbuilt = keras.Sequential([keras.layers.Conv2D(16, 3), keras.layers.Flatten(), keras.layers.Dense(4)])
    samples = np.zeros((5, 8, 8, 8), "float32")
    onnx.checker.check_model(onnx.load_from_string(model_file(unbuilt, None, samples).content))
