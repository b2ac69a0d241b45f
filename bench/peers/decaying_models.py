"""AlexNet, VGG-16 and GoogLeNet of ImageNet's size for measurements of time, memory and speed, without trained weights.

    python decaying_models.py FOLDER [--models alexnet vgg16 googlenet] [--decay 1]

The architectures are torchvision's. Every weight matrix (output channels x inputs of a patch) is `U diag(s) V'` with random
orthonormal U and V and singular values `s_i = i^-decay`: a plain random matrix has a flat spectrum, and nothing that
compresses trained networks would work on it. The weights of the trained VGG-16 for CIFAR-10 that the benchmarks use fall with
exponents of 0.20 to 0.46 (fitted to the first half of the singular values), but it answers to what its images have in
common. Random networks do not, and with an exponent of 0.5 nothing of this size is compressible: the plain linear
reconstruction of AlexNet at 4x has a relative error of 0.76 on new images, with an exponent of 1 it has 0.05.
Every layer (the batch norm behind it, where there is one) is then scaled, and its channels are centred, so that on the images
its response has the mean 0 per channel and the variance 1 over all channels: about half of the units are active.

The images are dead leaves: overlapping discs of one colour each, radii with density r^-3, which have the edges and the 1/f^2
power spectrum of photographs. Accuracy means nothing here; fidelity (the outputs against the original's) does, roughly.

Writes NAME.onnx for every model and calibration.npz and evaluation.npz for all. VGG-16 takes about two minutes and 4 GB.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
import torchvision
from torch import Tensor, nn

SEED = 11
SIZE = 224
RADII = (6, 120)  # pixels
DISCS = 400
OPTIONS = {
    "vgg16": {"init_weights": False},
    "googlenet": {"init_weights": False, "aux_logits": False, "transform_input": False},
}
# Mean and standard deviation that torchvision's networks expect, of pixels in 0..1.
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class FromPixels(nn.Module):
    """Takes pixels in 0..255, as the files hold them."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", 255 * torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("deviation", 255 * torch.tensor(DEVIATION).view(1, 3, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        return self.network((pixels - self.mean) / self.deviation)


def dead_leaves(count: int, random: np.random.Generator) -> np.ndarray:
    rows, columns = np.mgrid[:SIZE, :SIZE]
    images = np.empty((count, 3, SIZE, SIZE), np.uint8)
    low, high = (radius**-2.0 for radius in RADII)
    for image in images:
        image[:] = random.integers(0, 256, (3, 1, 1))
        for _ in range(DISCS):
            # The inverse of the distribution function of r^-3 between both radii.
            radius = (low - random.random() * (low - high)) ** -0.5
            y, x = random.uniform(-radius, SIZE + radius, 2)
            top, left = max(0, int(y - radius)), max(0, int(x - radius))
            part = np.s_[top : int(y + radius) + 2, left : int(x + radius) + 2]
            inside = (rows[part] - y) ** 2 + (columns[part] - x) ** 2 <= radius**2
            # Colours of photographs are mostly grey: one brightness and a smaller deviation of each channel.
            colour = np.clip(random.uniform(0, 255) + random.normal(0, 30, 3), 0, 255)
            image[(slice(None), *part)][:, inside] = colour[:, None]
    return images


def orthonormal(rows: int, columns: int, random: torch.Generator) -> Tensor:
    return torch.linalg.qr(torch.randn(rows, columns, generator=random)).Q


def give_spectrum(weight: Tensor, decay: float, random: torch.Generator) -> None:
    m, d = weight.shape[0], weight[0].numel()
    rank = min(m, d)
    values = torch.arange(1, rank + 1, dtype=torch.float32) ** -decay
    left = orthonormal(m, rank, random) * values
    weight.copy_((left @ orthonormal(d, rank, random).T).reshape(weight.shape))


def centre_and_scale(module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    """A forward hook: sets bias and scale from what the layer answers, and returns what it then would have answered."""
    axes = [axis for axis in range(output.ndim) if axis != 1]
    mean = output.mean(axes)
    shape = (1, -1, *[1] * (output.ndim - 2))
    centred = output - mean.view(shape)
    variance = centred.square().mean()
    if isinstance(module, nn.BatchNorm2d):
        # The statistics were 0 and 1; with weight 1 and bias 0 it now maps to mean 0 and, over all channels, variance 1.
        module.running_mean.copy_(mean * (1 + module.eps) ** 0.5)
        module.running_var.fill_(variance.item() * (1 + module.eps) - module.eps)
    else:
        module.weight.mul_(variance.rsqrt())
        module.bias.sub_(mean).mul_(variance.rsqrt())
    return centred * variance.rsqrt()


def build(name: str, decay: float, images: Tensor) -> nn.Module:
    network = getattr(torchvision.models, name)(weights=None, **OPTIONS.get(name, {}))
    network.eval()
    random = torch.Generator().manual_seed(SEED)
    hooks = []
    with torch.inference_mode():
        for module in network.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                give_spectrum(module.weight, decay, random)
                if module.bias is None:
                    continue
                module.bias.zero_()
            if isinstance(module, (nn.Conv2d, nn.Linear, nn.BatchNorm2d)):
                hooks.append(module.register_forward_hook(centre_and_scale))
        whole = FromPixels(network).eval()
        whole(images)
        for hook in hooks:
            hook.remove()
        spread = whole(images).std().item()
    print(f"{name}: {sum(p.numel() for p in network.parameters()):,} parameters, logits' deviation {spread:.2f}", flush=True)
    return whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", nargs="+", default=["alexnet", "vgg16", "googlenet"])
    parser.add_argument("--decay", type=float, default=1.0)
    parser.add_argument("--calibration", type=int, default=256, help="images")
    parser.add_argument("--evaluation", type=int, default=100, help="images")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.folder.mkdir(parents=True, exist_ok=True)

    images = dead_leaves(args.calibration + args.evaluation, np.random.default_rng(SEED))
    np.savez(args.folder / "calibration.npz", x=images[: args.calibration])
    np.savez(args.folder / "evaluation.npz", x=images[args.calibration :])
    for name in args.models:
        network = build(name, args.decay, torch.from_numpy(images[:16]).float())
        torch.onnx.export(
            network,
            (torch.zeros(2, 3, SIZE, SIZE),),
            args.folder / f"{name}.onnx",
            dynamo=False,
            opset_version=17,
            input_names=["pixels"],
            output_names=["logits"],
            dynamic_axes={"pixels": {0: "batch"}, "logits": {0: "batch"}},
        )


if __name__ == "__main__":
    main()
