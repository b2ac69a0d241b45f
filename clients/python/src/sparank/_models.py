"""Models in whatever form people have them, as the ONNX file that the service reads."""

from __future__ import annotations

import inspect
import io
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ._data import one_sample
from ._files import FileToSend, file_at

NAME = "model.onnx"
OPSET = 17


def _is_a(value: Any, package: str, *names: str) -> bool:
    """Whether it is an instance of such a class, without importing the package for it."""
    return any(
        cls.__module__.split(".")[0] in package.split("|") and cls.__name__ in names for cls in type(value).__mro__
    )


@contextmanager
def _evaluating(module: Any) -> Iterator[None]:
    """Batch normalizations and dropouts as they are when the network is used; afterwards as they were."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


def export_torch(module: Any, example: Any) -> bytes:
    """``example``: a tensor or an array, a tuple of them, or a dict of keyword arguments; the first axis is the batch."""
    import torch

    where = next((value.device for value in module.parameters()), torch.device("cpu"))

    def tensor(value: Any) -> Any:
        return torch.as_tensor(value).to(where)

    if isinstance(example, Mapping):
        names = list(example)
        args: tuple[Any, ...] = ({name: tensor(value) for name, value in example.items()},)
    else:
        given = example if isinstance(example, (tuple, list)) else (example,)
        args = tuple(map(tensor, given))
        parameters = list(inspect.signature(module.forward).parameters)
        names = parameters[: len(args)] if len(parameters) >= len(args) else [f"x{i}" for i in range(len(args))]
    options: dict[str, Any] = {
        "input_names": names,
        "output_names": ["output"],
        "dynamic_axes": {name: {0: "batch"} for name in [*names, "output"]},
        "opset_version": OPSET,
        # Weights stay what they are in the network: nothing is multiplied into them or computed in advance, nothing is an input.
        "do_constant_folding": False,
        "keep_initializers_as_inputs": False,
        "training": torch.onnx.TrainingMode.EVAL,
    }
    if "dynamo" in inspect.signature(torch.onnx.export).parameters:
        options["dynamo"] = False
    buffer = io.BytesIO()
    with _evaluating(module), torch.no_grad():
        torch.onnx.export(module, args, buffer, **options)
    return buffer.getvalue()


def _call_once(model: Any, example: Any) -> None:
    """Keras exports only what was called, which a network that was loaded or just built was not."""
    import keras

    if getattr(model, "_called", True):
        return
    inputs = getattr(model, "inputs", None) or []
    if example is None:
        zeros = [keras.ops.zeros([size or 1 for size in one.shape], dtype=one.dtype) for one in inputs]
        model(zeros[0] if len(zeros) == 1 else zeros)
    else:
        model(keras.ops.convert_to_tensor(example, dtype=inputs[0].dtype if len(inputs) == 1 else "float32"))


def export_keras(model: Any, example: Any) -> bytes:
    with tempfile.TemporaryDirectory(prefix="sparank-") as directory:
        path = Path(directory) / NAME
        takes_format = "format" in inspect.signature(model.export).parameters if hasattr(model, "export") else False
        if takes_format:
            _call_once(model, example)
            model.export(str(path), format="onnx", verbose=False)
        else:
            import tf2onnx

            tf2onnx.convert.from_keras(model, opset=OPSET, output_path=str(path))
        return path.read_bytes()


def model_file(model: Any, example: Any, calibration: Any) -> FileToSend | dict[str, Any]:
    """The file to send; what is at the service already as it was named."""
    if isinstance(model, dict) and model.keys() & {"upload", "url"}:
        return model
    if isinstance(model, (str, os.PathLike)):
        return file_at(model)
    if isinstance(model, (bytes, bytearray, memoryview)):
        return FileToSend(NAME, bytes(model))
    if _is_a(model, "onnx", "ModelProto"):
        return FileToSend(NAME, model.SerializeToString())
    if _is_a(model, "torch", "Module"):
        return FileToSend(NAME, export_torch(model, one_sample(calibration) if example is None else example))
    if _is_a(model, "keras|tensorflow|tf_keras", "Model"):
        sample = one_sample(calibration) if example is None and calibration is not None else example
        return FileToSend(NAME, export_keras(model, sample))
    raise TypeError(
        f"a model is a path, ONNX bytes, an onnx.ModelProto, a torch.nn.Module or a Keras model, not {type(model).__name__}"
    )
