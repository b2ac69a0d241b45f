"""ONNX Runtime's own static quantization, as a yardstick for `static_int8`.

    python static_quantization.py model.onnx calibration.npz quantized.onnx

Its defaults where they matter: integers from the smallest to the largest value seen, a scale for every output channel, 8 bits,
QuantizeLinear and DequantizeLinear around every operator that it knows. Prints the seconds as JSON.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
from onnx import version_converter
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

IMAGES = 256
BATCH = 8
OPSET = 13  # before it, weights have one scale for all channels


class Samples(CalibrationDataReader):
    """The first samples of a calibration file, one array for every input of the network."""

    def __init__(self, model: onnx.ModelProto, path: Path) -> None:
        stored = {tensor.name for tensor in model.graph.initializer}
        names = [value.name for value in model.graph.input if value.name not in stored]
        arrays = np.load(path)
        only = arrays.files[0]
        given = {name: arrays[name if name in arrays.files else only][:IMAGES].astype(np.float32) for name in names}
        count = min(len(array) for array in given.values())
        self.batches = iter([{name: a[at : at + BATCH] for name, a in given.items()} for at in range(0, count, BATCH)])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.batches, None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("model", "calibration", "output"):
        parser.add_argument(name, type=Path)
    options = parser.parse_args()
    model = onnx.load(options.model)
    if model.opset_import[0].version < OPSET:
        model = version_converter.convert_version(model, OPSET)
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as directory:
        raised, ready = f"{directory}/raised.onnx", f"{directory}/ready.onnx"
        onnx.save(model, raised)
        quant_pre_process(raised, ready, skip_symbolic_shape=True)
        quantize_static(
            ready,
            options.output,
            Samples(model, options.calibration),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    print(json.dumps({"seconds": time.perf_counter() - begun}))


if __name__ == "__main__":
    main()
