"""Weights of few bits, each rounded up or down so that its layer's response stays (AdaRound, Nagel et al. 2020).

    python adaround.py model.onnx calibration.npz rounded.onnx --bits 4

Layer after layer, on the inputs that the network with rounded weights gives it, towards the response of the original behind
its ReLU. A scale and a zero point for every output channel; first and last layers have 8 bits, as is usual. Activations are not
rounded. BRECQ does the same for blocks of layers; here a block is a layer.

The file holds the rounded weights as float32, so that every runtime takes it. Prints what it would take with weights of that many bits,
with scales and zero points, as JSON.
"""

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from plain_network import Layers, Network, fed, key_of, read_network, read_samples, write_onnx
from torch import Tensor
from torch.nn import functional

THREADS = 2
OUTER_BITS = 8
BATCH = 32
ITERATIONS = 1000
RATE = 1e-2
PENALTY = 0.01
WARM = 0.2  # share of the iterations without the penalty
SHRINKS = 50
# Of the stretched sigmoid that reaches 0 and 1.
LOW, HIGH = -0.1, 1.1
SEED = 3


@dataclass
class Grid:
    """Weights are scale * (integer - zero), integers from 0 to the largest."""

    scale: Tensor  # [m, 1]
    zero: Tensor
    largest: int

    def weights(self, integers: Tensor) -> Tensor:
        return self.scale * (integers.clamp(0, self.largest) - self.zero)


def grid_of(weight: Tensor, bits: int) -> Grid:
    """For every channel that share of its range which leaves the least squared error when rounded to the nearest."""
    largest = 2**bits - 1
    low, high = weight.amin(1, keepdim=True).clamp(max=0), weight.amax(1, keepdim=True).clamp(min=0)
    best = Grid((high - low).clamp(min=1e-12) / largest, torch.zeros_like(low), largest)
    least = torch.full_like(low, torch.inf)
    for step in range(SHRINKS):
        share = 1 - 0.8 * step / SHRINKS
        scale = (share * (high - low)).clamp(min=1e-12) / largest
        grid = Grid(scale, (-share * low / scale).round(), largest)
        error = (grid.weights((weight / scale).round() + grid.zero) - weight).square().sum(1, keepdim=True)
        better = error < least
        least = torch.where(better, error, least)
        best.scale, best.zero = torch.where(better, scale, best.scale), torch.where(better, grid.zero, best.zero)
    return best


def response(layer: Layers, x: Tensor, weight: Tensor) -> Tensor:
    shaped = weight.reshape(layer.weight.shape)
    if isinstance(layer, torch.nn.Linear):
        return functional.linear(x, shaped, layer.bias)
    return functional.conv2d(x, shaped, layer.bias, layer.stride, layer.padding, layer.dilation, layer.groups)


def rounded(layer: Layers, grid: Grid, x: Tensor, wanted: Tensor, relu: bool, seconds: float) -> Tensor:
    """The weights, each at one of the two neighbours on the grid."""
    weight = layer.weight.data.flatten(1)
    below = (weight / grid.scale).floor()
    rest = (weight / grid.scale - below).clamp(0.01, 0.99)
    choice = torch.logit((rest - LOW) / (HIGH - LOW)).requires_grad_()
    optimizer = torch.optim.Adam([choice], RATE)
    begun = time.process_time()
    for step in range(ITERATIONS):
        done = max(step / ITERATIONS, (time.process_time() - begun) / seconds)
        if done >= 1:
            break
        rows = torch.randint(len(x), (min(BATCH, len(x)),))
        up = (choice.sigmoid() * (HIGH - LOW) + LOW).clamp(0, 1)
        y = response(layer, x[rows], grid.weights(below + up + grid.zero))
        loss = ((y.relu() if relu else y) - wanted[rows]).square().sum(1).mean()
        if done > WARM:
            power = 2 + 18 * (1 - done) / (1 - WARM)
            loss = loss + PENALTY * (1 - (2 * up - 1).abs().pow(power)).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return grid.weights(below + (choice.detach() >= 0).float() + grid.zero)


@torch.no_grad()
def captured(network: Network, samples: Tensor, name: str) -> Tensor:
    parts = (network.values(samples[at : at + BATCH].float(), [name])[0] for at in range(0, len(samples), BATCH))
    return torch.cat([part.clone() for part in parts])


def round_all(original: Network, network: Network, samples: Tensor, bits: int, seconds: float) -> int:
    """Rounds the weights of `network`; returns the bytes that this saves."""
    layers = network.weighted()
    places = [node for node in network.nodes if key_of(node) in layers]
    outer = [layers[key_of(places[0])], *network.last_layers()]
    saved = 0
    for node in places:
        layer = layers[key_of(node)]
        own = OUTER_BITS if any(layer is other for other in outer) else bits
        weight = layer.weight.data.flatten(1)
        grid = grid_of(weight, own)
        if own == bits:
            readers = [reader for reader in network.nodes if node.output[0] in reader.input]
            relu = [reader.op_type for reader in readers] == ["Relu"]
            wanted = captured(original, samples, readers[0].output[0] if relu else node.output[0])
            x = fed(node, captured(network, samples, node.input[0]))
            layer.weight.data = rounded(layer, grid, x, wanted, relu, seconds / len(places)).reshape(layer.weight.shape)
        else:
            nearest = grid.weights((weight / grid.scale).round() + grid.zero)
            layer.weight.data = nearest.reshape(layer.weight.shape)
        channels = len(weight)
        saved += 4 * weight.numel() - (own * (weight.numel() + channels) + 7) // 8 - 4 * channels
    return saved


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("model", "calibration", "output"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--bits", type=int, required=True)
    # What a job of standard effort may take on two cores.
    parser.add_argument("--seconds", type=float, default=720, help="of the processor, for all layers, at most")
    args = parser.parse_args()
    torch.set_num_threads(THREADS)
    torch.manual_seed(SEED)
    begun = time.perf_counter()
    samples = read_samples(args.calibration)
    network = read_network(args.model)
    saved = round_all(read_network(args.model), network, torch.from_numpy(samples), args.bits, args.seconds)
    write_onnx(network, args.output, samples)
    seconds = time.perf_counter() - begun
    print(json.dumps({"bytes": args.output.stat().st_size - saved, "seconds": seconds}))


if __name__ == "__main__":
    main()
