"""check.py ORIGINAL REWRITTEN IMAGES.npz: both are valid ONNX, take any batch size and compute the same."""

import pathlib
import sys
import tempfile
import zipfile

import numpy as np
import onnx
import onnxruntime


def unpacked(path: pathlib.Path, folder: str) -> str:
    if path.suffix != ".zip":
        return str(path)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
    return str(next(pathlib.Path(folder).glob("*.onnx")))


def ports(session: onnxruntime.InferenceSession) -> list:
    return [(p.name, p.type, p.shape[1:]) for p in [*session.get_inputs(), *session.get_outputs()]]


def main() -> None:
    original, rewritten, images = map(pathlib.Path, sys.argv[1:4])
    x = np.load(images)["x"]
    with tempfile.TemporaryDirectory() as a, tempfile.TemporaryDirectory() as b:
        path = unpacked(rewritten, b)
        onnx.checker.check_model(path, full_check=True)
        before = onnxruntime.InferenceSession(unpacked(original, a), providers=["CPUExecutionProvider"])
        after = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        if ports(before) != ports(after):
            raise SystemExit(f"inputs and outputs differ: {ports(before)} and {ports(after)}")
        name = before.get_inputs()[0].name
        for batch in (1, 2):
            wanted = before.run(None, {name: x[:batch]})
            actual = after.run(None, {name: x[:batch]})
            for w, r in zip(wanted, actual):
                error = np.abs(w - r).max() / np.abs(w).max()
                if not error < 1e-4:
                    raise SystemExit(f"batch {batch}: outputs differ by {error:.2e} of their size")
    print(f"valid, same outputs to {error:.1e}")


if __name__ == "__main__":
    main()
