"""One peer on one network: compresses an ONNX model to a parameter ratio without fine-tuning.

    python compress.py METHOD model.onnx calibration.npz --ratio 4 --out compressed.onnx

| method    | what it does                                                                                                     |
| --------- | ---------------------------------------------------------------------------------------------------------------- |
| svd       | truncated singular value decomposition of every weight matrix [m, channels x taps], two layers                   |
| tucker    | TensorLy's `partial_tucker` of every convolution over its output and input channels (1x1, kxk, 1x1), SVD of the rest |
| uniform   | Torch-Pruning: whole channels by the norm of their weights, the same share in every layer                         |
| magnitude | Torch-Pruning: the same, compared over the whole network                                                         |
| taylor    | Torch-Pruning: whole channels by weight times gradient (`GroupTaylorImportance`), of the cross entropy against the network's own answers on the calibration images |
| distilled | `uniform`, then trained to give the outputs of the original on the calibration images (distillation.py)             |
| linear    | leading eigenvectors of every layer's response on the calibration images (linear_baseline.py)                    |

Ranks of `svd`, `tucker` and `linear` are chosen greedily: of all next steps of all layers, the one that loses the smallest share
of its layer's energy for every parameter that it saves. What Torch-Pruning leaves behind is corrected as far as calibration
data alone can: every convolution gets a batch norm that changes nothing, its statistics are taken anew after the pruning, and it is
folded. That restores mean and variance of every channel. `svd` and `tucker` look at the weights only.
"""

import argparse
import copy
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import linear_baseline
import numpy as np
import onnx
import tensorly
import torch
import torch_pruning
from distillation import distil
from plain_network import Layers, Network, parameters_of, read_network, read_samples, write_onnx
from tensorly.decomposition import partial_tucker
from torch import Tensor, nn

STEP = 8  # ranks are multiples of this
THREADS = 2
IMAGES_PER_BATCH = 64
SEARCH_STEPS = 16
NORM_IMAGES = 256


def linear(path: Path, images: np.ndarray, ratio: float, out: Path) -> None:
    model = onnx.load(str(path))
    linear_baseline.fold_batch_norm(model)
    layers = linear_baseline.find_layers(model)
    linear_baseline.measure(model, layers, images, THREADS)
    linear_baseline.allocate(layers, ratio)
    onnx.save(linear_baseline.compress(model, layers), str(out))


# Factorisations of the weights.


@dataclass
class Choice:
    """One way to store a layer."""

    ranks: tuple[int, ...]
    parameters: int
    lost: float  # share of the weights' energy


def tails(values: Tensor) -> Tensor:
    """Share of the energy behind every rank, from rank 0 on."""
    energy = values.double().square()
    return 1 - torch.cat([torch.zeros(1), energy.cumsum(0)]) / energy.sum()


def svd_choices(layer: Layers) -> list[Choice]:
    weight = layer.weight.data.flatten(1)
    m, d = weight.shape
    lost = tails(torch.linalg.svdvals(weight))
    return [Choice((r,), r * (m + d) + m, float(lost[r])) for r in range(STEP, min(m, d), STEP)]


def tucker_choices(layer: Layers) -> list[Choice]:
    """Both ranks fall together; what is lost is bounded by the sum over both unfoldings (De Lathauwer et al. 2000)."""
    if not isinstance(layer, nn.Conv2d) or layer.weight[0, 0].numel() == 1:
        return svd_choices(layer)
    weight = layer.weight.data
    m, channels, taps = weight.shape[0], weight.shape[1], weight[0, 0].numel()
    over_m = tails(torch.linalg.svdvals(weight.flatten(1)))
    over_channels = tails(torch.linalg.svdvals(weight.transpose(0, 1).flatten(1)))
    choices = []
    for share in range(1, max(m, channels) // STEP):
        a = min(len(over_m) - 1, max(1, round(share * STEP * m / max(m, channels))))
        b = min(len(over_channels) - 1, max(1, round(share * STEP * channels / max(m, channels))))
        parameters = channels * b + a * b * taps + m * a + m
        choices.append(Choice((a, b), parameters, min(1.0, float(over_m[a] + over_channels[b]))))
    return choices


def allocate(layers: list[Layers], choices_of: Callable[[Layers], list[Choice]], ratio: float) -> list[Choice | None]:
    """None: the layer stays as it is."""
    dense = [parameters_of(layer) for layer in layers]
    ways = [sorted(choices_of(layer), key=lambda c: -c.parameters) for layer in layers]
    ways = [[c for c in options if c.parameters < size] for options, size in zip(ways, dense)]
    chosen: list[Choice | None] = [None] * len(layers)
    total = sum(dense)
    while total > sum(dense) / ratio:
        steps = []
        for i, options in enumerate(ways):
            if options:
                now = chosen[i] or Choice((), dense[i], 0)
                steps.append(((options[0].lost - now.lost) / (now.parameters - options[0].parameters), i))
        if not steps:
            raise SystemExit(f"{ratio}x cannot be reached")
        _, i = min(steps)
        total -= (chosen[i].parameters if chosen[i] else dense[i]) - ways[i][0].parameters
        chosen[i] = ways[i].pop(0)
    return chosen


def svd_layers(layer: Layers, rank: int) -> nn.Sequential:
    weight = layer.weight.data
    left, values, right = torch.linalg.svd(weight.flatten(1), full_matrices=False)
    inner, outer = right[:rank] * values[:rank, None], left[:, :rank]
    if isinstance(layer, nn.Linear):
        parts = nn.Linear(layer.in_features, rank, bias=False), nn.Linear(rank, layer.out_features)
    else:
        first = nn.Conv2d(layer.in_channels, rank, layer.kernel_size, layer.stride, layer.padding, layer.dilation, bias=False)
        parts = first, nn.Conv2d(rank, layer.out_channels, 1)
    for part, values in zip(parts, (inner, outer)):
        part.weight.data = values.reshape(part.weight.shape).contiguous()
    parts[1].bias.data = layer.bias.data
    return nn.Sequential(*parts)


def tucker_layers(layer: nn.Conv2d, ranks: tuple[int, int]) -> nn.Sequential:
    (core, (left, right)), _ = partial_tucker(layer.weight.data, rank=list(ranks), modes=[0, 1], init="svd", n_iter_max=10)
    first = nn.Conv2d(layer.in_channels, ranks[1], 1, bias=False)
    middle = nn.Conv2d(ranks[1], ranks[0], layer.kernel_size, layer.stride, layer.padding, layer.dilation, bias=False)
    last = nn.Conv2d(ranks[0], layer.out_channels, 1)
    for part, values in zip((first, middle, last), (right.T, core, left)):
        part.weight.data = values.reshape(part.weight.shape).contiguous()
    last.bias.data = layer.bias.data
    return nn.Sequential(first, middle, last)


def factored(network: Network, choices_of: Callable[[Layers], list[Choice]], ratio: float) -> Network:
    layers = {key: layer for key, layer in network.weighted().items() if getattr(layer, "groups", 1) == 1}
    for (key, layer), choice in zip(layers.items(), allocate(list(layers.values()), choices_of, ratio)):
        if choice is not None:
            make = svd_layers if len(choice.ranks) == 1 else tucker_layers
            network.layers[key] = make(layer, choice.ranks[0] if len(choice.ranks) == 1 else choice.ranks)
    return network


# Torch-Pruning.


def accumulate_gradients(network: nn.Module, images: np.ndarray) -> None:
    """Of the cross entropy against classes drawn from the network's own answers: the data has no labels."""
    torch.manual_seed(1)
    for at in range(0, len(images), IMAGES_PER_BATCH):
        logits = network(torch.from_numpy(images[at : at + IMAGES_PER_BATCH]).float())
        classes = torch.multinomial(logits.detach().softmax(1), 1).squeeze(1)
        nn.functional.cross_entropy(logits, classes, reduction="sum").backward()


def with_norms(network: Network, images: np.ndarray) -> Network:
    """A batch norm that changes nothing behind every convolution."""
    norms = []
    for key, layer in network.weighted().items():
        if isinstance(layer, nn.Conv2d):
            norms.append(nn.BatchNorm2d(layer.out_channels))
            network.layers[key] = nn.Sequential(layer, norms[-1])
    hooks = [norm.register_forward_hook(lambda _, inputs, __: inputs[0]) for norm in norms]
    take_statistics(network, images)
    for hook in hooks:
        hook.remove()
    for norm in norms:
        norm.weight.data = (norm.running_var + norm.eps).sqrt()
        norm.bias.data = norm.running_mean.clone()
    return network.eval()


def take_statistics(network: nn.Module, images: np.ndarray) -> None:
    """Sets the statistics of all batch norms to those on the images."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
        norm.train()
    with torch.no_grad():
        for at in range(0, len(images), IMAGES_PER_BATCH):
            network(torch.from_numpy(images[at : at + IMAGES_PER_BATCH]).float())
    network.eval()


def pruned(path: Path, images: np.ndarray, ratio: float, method: str) -> Network:
    """Where the sums of a network keep its channels, as shortcuts without weights do, only other layers lose any."""
    dense = with_norms(read_network(path), images[:NORM_IMAGES])
    if method == "taylor":
        accumulate_gradients(dense, images)
    try:
        return search(dense, images, ratio, method, Network.last_layers)
    except RuntimeError:
        return search(dense, images, ratio, method, Network.layers_before_sums)


def search(dense: Network, images: np.ndarray, ratio: float, method: str, kept: Callable[[Network], list]) -> Network:
    """Bisection of the library's own ratio (of channels) until the parameters are as few as asked for."""
    taylor = torch_pruning.importance.GroupTaylorImportance
    importance = taylor if method == "taylor" else torch_pruning.importance.GroupMagnitudeImportance
    wanted = parameters_of(dense) / ratio
    low, high = 0.0, 1.0
    best: Network | None = None
    for _ in range(SEARCH_STEPS):
        share = (low + high) / 2
        network = copy.deepcopy(dense)
        for ours, theirs in zip(network.parameters(), dense.parameters()):
            ours.grad = theirs.grad
        sample = torch.from_numpy(images[:2]).float()
        torch_pruning.pruner.BasePruner(
            network,
            sample,
            importance=importance(),
            global_pruning=method not in ("uniform", "distilled"),
            pruning_ratio=share,
            # So that no layer disappears.
            max_pruning_ratio=0.97,
            round_to=STEP,
            ignored_layers=kept(network),
        ).step()
        with torch.no_grad():
            network(sample)
        if parameters_of(network) > wanted:
            low = share
        else:
            high, best = share, network
    if best is None:
        raise SystemExit(f"{ratio}x cannot be reached")
    take_statistics(best, images)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("method", choices=["svd", "tucker", "uniform", "magnitude", "taylor", "distilled", "linear"])
    parser.add_argument("model", type=Path)
    parser.add_argument("calibration", type=Path)
    parser.add_argument("--ratio", type=float, required=True)
    parser.add_argument("--out", type=Path, required=True)
    # What a job of standard effort may take on two cores.
    parser.add_argument("--seconds", type=float, default=720, help="of the processor, for training, at most")
    args = parser.parse_args()
    torch.set_num_threads(THREADS)
    tensorly.set_backend("pytorch")
    begun = time.perf_counter()
    images = read_samples(args.calibration)
    if args.method == "linear":
        linear(args.model, images, args.ratio, args.out)
    elif args.method in ("svd", "tucker"):
        choices = svd_choices if args.method == "svd" else tucker_choices
        with torch.no_grad():
            network = factored(read_network(args.model), choices, args.ratio)
        write_onnx(network, args.out, images)
    elif args.method == "distilled":
        network = pruned(args.model, images, args.ratio, args.method)
        distil(network, read_network(args.model), images, args.seconds)
        write_onnx(network, args.out, images)
    else:
        write_onnx(pruned(args.model, images, args.ratio, args.method), args.out, images)
    print(json.dumps({"method": args.method, "out": str(args.out), "seconds": time.perf_counter() - begun}))


if __name__ == "__main__":
    main()
