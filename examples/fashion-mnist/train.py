"""Trains the demonstration network on Fashion-MNIST and writes what the service needs to compress it.

    python train.py [--data DIR] [--out DIR] [--epochs N] [--threads N]

Writes `model.onnx` (input `pixels` [batch, 1, 28, 28] in 0..255, output `logits` [batch, 10]), `calibration.npz`
(training images without labels) and `evaluation.npz` (test images with labels). The test images are never used
to choose anything: the network of the last epoch is the one exported.
"""

import argparse
import gzip
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

SEED = 7
CLASSES = 10
CHANNELS = (32, 32, "pool", 64, 64, "pool", 128, 128, "pool")
HIDDEN = 256
# Mean and standard deviation of all training pixels, in 0..255.
MEAN, DEVIATION = 72.94, 90.02
LARGEST_SHIFT = 2


class Network(nn.Module):
    """Three stages of convolution, batch norm and ReLU, each ended by a pooling, then two fully connected layers."""

    def __init__(self) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        width = 1
        for step in CHANNELS:
            if step == "pool":
                blocks.append(nn.MaxPool2d(2))
                continue
            blocks += [nn.Conv2d(width, step, 3, padding=1, bias=False), nn.BatchNorm2d(step), nn.ReLU()]
            width = step
        self.features = nn.Sequential(*blocks)
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(width * 3 * 3, HIDDEN),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(HIDDEN, CLASSES),
        )

    def forward(self, pixels: Tensor) -> Tensor:
        return self.classifier(self.features((pixels - MEAN) / DEVIATION))


def read_idx(path: Path) -> np.ndarray:
    """The unsigned bytes of an IDX file: two zero bytes, the type, the number of axes, every axis, the data."""
    raw = gzip.decompress(path.read_bytes())
    if raw[:3] != b"\x00\x00\x08":
        raise SystemExit(f"{path} is not an IDX file of unsigned bytes")
    axes = raw[3]
    shape = np.frombuffer(raw, ">u4", axes, 4).astype(int)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * axes).reshape(shape).copy()


def read_split(folder: Path, prefix: str) -> tuple[np.ndarray, np.ndarray]:
    images = read_idx(folder / f"{prefix}-images-idx3-ubyte.gz")
    labels = read_idx(folder / f"{prefix}-labels-idx1-ubyte.gz")
    return images[:, None], labels.astype(np.int64)


def augment(images: Tensor, random: torch.Generator) -> Tensor:
    """Shifts every image by up to two pixels on each axis and mirrors half of them."""
    count, _, height, width = images.shape
    padded = nn.functional.pad(images, (LARGEST_SHIFT,) * 4)
    down, right = torch.randint(0, 2 * LARGEST_SHIFT + 1, (2, count, 1), generator=random)
    rows = down + torch.arange(height)
    columns = right + torch.arange(width)
    mirrored = torch.rand(count, 1, generator=random) < 0.5
    columns = torch.where(mirrored, columns.flip(1), columns)
    return padded[torch.arange(count)[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def train(images: np.ndarray, labels: np.ndarray, epochs: int, batch: int = 256) -> Network:
    torch.manual_seed(SEED)
    random = torch.Generator().manual_seed(SEED)
    network = Network().to(memory_format=torch.channels_last)
    x, y = torch.from_numpy(images).float(), torch.from_numpy(labels)
    steps = len(x) // batch
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=0.15, total_steps=epochs * steps, pct_start=0.25)
    loss_of = nn.CrossEntropyLoss(label_smoothing=0.05)
    for epoch in range(epochs):
        started, losses = time.monotonic(), 0.0
        order = torch.randperm(len(x), generator=random)
        for step in range(steps):
            chosen = order[step * batch : (step + 1) * batch]
            shown = augment(x[chosen], random).contiguous(memory_format=torch.channels_last)
            # bfloat16 halves the time on CPUs that know it; weights and the export stay float32.
            with torch.autocast("cpu", torch.bfloat16):
                loss = loss_of(network(shown).float(), y[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            losses += loss.item()
        print(f"epoch {epoch + 1}/{epochs}: loss {losses / steps:.4f}, {time.monotonic() - started:.1f} s", flush=True)
    return network.eval()


def export(network: Network, path: Path) -> None:
    """One file, dynamic batch; batch norm is kept as it is, since compressing has to cope with it anyway."""
    network = network.to(memory_format=torch.contiguous_format)
    torch.onnx.export(
        network,
        (torch.zeros(2, 1, 28, 28),),
        path,
        dynamo=False,
        opset_version=17,
        do_constant_folding=False,
        training=torch.onnx.TrainingMode.PRESERVE,
        input_names=["pixels"],
        output_names=["logits"],
        dynamic_axes={"pixels": {0: "batch"}, "logits": {0: "batch"}},
    )
    onnx.checker.check_model(str(path), full_check=True)


def accuracy_in_torch(network: Network, images: np.ndarray, labels: np.ndarray) -> float:
    with torch.inference_mode():
        parts = [network(part.float()).argmax(1) for part in torch.from_numpy(images).split(500)]
    return 100 * float((torch.cat(parts).numpy() == labels).mean())


def accuracy_in_onnxruntime(path: Path, images: np.ndarray, labels: np.ndarray) -> float:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    parts = [
        session.run(["logits"], {"pixels": images[at : at + 500].astype(np.float32)})[0].argmax(1)
        for at in range(0, len(images), 500)
    ]
    return 100 * float((np.concatenate(parts) == labels).mean())


def balanced(labels: np.ndarray, count: int) -> np.ndarray:
    """`count` indices with the classes as equal as they can be, in random order, the same on every run."""
    random = np.random.default_rng(SEED)
    by_class = [random.permutation(np.flatnonzero(labels == c)) for c in range(CLASSES)]
    share, extra = divmod(count, CLASSES)
    chosen = np.concatenate([members[: share + (c < extra)] for c, members in enumerate(by_class)])
    return random.permutation(chosen)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    torch.use_deterministic_algorithms(True)
    args.out.mkdir(parents=True, exist_ok=True)
    train_images, train_labels = read_split(args.data, "train")
    test_images, test_labels = read_split(args.data, "t10k")

    calibration = balanced(train_labels, 1024)
    np.savez_compressed(args.out / "calibration.npz", x=train_images[calibration])
    evaluation = balanced(test_labels, 2000)
    np.savez_compressed(args.out / "evaluation.npz", x=test_images[evaluation], y=test_labels[evaluation])

    network = train(train_images, train_labels, args.epochs)
    path = args.out / "model.onnx"
    export(network, path)
    print(f"parameters: {sum(p.numel() for p in network.parameters()):,}")
    seen = accuracy_in_torch(network, train_images[:10000], train_labels[:10000])
    print(f"train, first 10,000 images, PyTorch: {seen:.2f} %")
    print(f"test, 10,000 images, PyTorch:        {accuracy_in_torch(network, test_images, test_labels):.2f} %")
    print(f"test, 10,000 images, ONNX Runtime:   {accuracy_in_onnxruntime(path, test_images, test_labels):.2f} %")
    subset = accuracy_in_onnxruntime(path, test_images[evaluation], test_labels[evaluation])
    print(f"evaluation.npz, 2,000 images:        {subset:.2f} %")


if __name__ == "__main__":
    main()
