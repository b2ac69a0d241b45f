"""Exports torchvision networks with random weights to ONNX, the way users of PyTorch do it.

    python export.py FOLDER [--models vgg16,resnet18] [--exporters torchscript,dynamo]

For every network and exporter: FOLDER/<network>-<exporter>.onnx, or a .zip when the exporter wrote external data.
"""

import argparse
import pathlib
import tempfile
import warnings
import zipfile

import numpy as np
import torch
import torchvision

NETWORKS = {
    "vgg16": lambda: torchvision.models.vgg16(weights=None),
    "alexnet": lambda: torchvision.models.alexnet(weights=None),
    "googlenet": lambda: torchvision.models.googlenet(weights=None, aux_logits=False, init_weights=False),
    "resnet18": lambda: torchvision.models.resnet18(weights=None),
    "mobilenet_v2": lambda: torchvision.models.mobilenet_v2(weights=None),
}


def network(name: str) -> torch.nn.Module:
    torch.manual_seed(1)
    model = NETWORKS[name]().eval()
    # Running statistics as after some training; the initial zeros and ones would hide a wrong fold.
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.2)
    return model


def export(name: str, exporter: str, folder: pathlib.Path) -> pathlib.Path:
    model = network(name)
    x = torch.rand(2, 3, 224, 224)
    with tempfile.TemporaryDirectory() as scratch:
        path = pathlib.Path(scratch) / f"{name}.onnx"
        names = {"input_names": ["images"], "output_names": ["scores"]}
        if exporter == "dynamo":
            batch = torch.export.Dim("batch", min=1, max=1024)
            torch.onnx.export(model, (x,), path, dynamo=True, dynamic_shapes=({0: batch},), external_data=True, **names)
        else:
            axes = {"images": {0: "batch"}, "scores": {0: "batch"}}
            torch.onnx.export(model, (x,), str(path), dynamo=False, dynamic_axes=axes, **names)
        files = sorted(pathlib.Path(scratch).iterdir())
        if len(files) == 1:
            target = folder / f"{name}-{exporter}.onnx"
            target.write_bytes(path.read_bytes())
        else:
            target = folder / f"{name}-{exporter}.zip"
            with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
                for file in files:
                    archive.write(file, file.name)
    np.savez(folder / "images.npz", x=x.numpy())
    return target


def main() -> None:
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--models", default=",".join(NETWORKS))
    parser.add_argument("--exporters", default="torchscript,dynamo")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for name in arguments.models.split(","):
        for exporter in arguments.exporters.split(","):
            path = export(name, exporter, arguments.folder)
            print(f"{path} {path.stat().st_size / 1e6:.1f} MB", flush=True)


if __name__ == "__main__":
    main()
