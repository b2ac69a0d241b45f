"""The ADMM of one layer, written plainly in PyTorch on the CPU: what does the product's solver gain over the obvious code?

    python torch_admm.py problem.npz --rank 16 --iterations 50 --runs 3

`problem.npz` holds `weights` [m, d], `bias` [m], `inputs` [N, d] and `relu` [1] (1: a ReLU follows, 0: nothing). The objective

    min over L, b of rank k   || r(W0 X + bias) - r(L X + b) ||^2,   L = M W0

is that of the product's low-rank part: regression on the layer's own response with a ridge towards the original
weights, from the linear fit, half of the iterations ADMM with residual balancing, half majorise-minimise with Nesterov's
extrapolation. Every iteration takes a whole singular value decomposition for the rank, as one would write it down.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

RIDGE = 1e-2
BALANCE, RHO_STEP = 4, 1.6


class Regression:
    """Least squares on the whitened response, its coefficients limited in rank."""

    def __init__(self, response: Tensor, rank: int) -> None:
        self.mean = response.mean(0)
        columns = response - self.mean
        gram = (columns.T @ columns).double() / len(columns)
        variance = gram.diagonal()
        penalty = RIDGE * variance.clamp(min=1e-6 * variance.max().item())
        factor = torch.linalg.cholesky(gram + penalty.diag())
        self.whiten = torch.linalg.solve_triangular(factor, torch.eye(len(gram), dtype=torch.double), upper=False).float()
        self.features = columns @ self.whiten.T
        # The ridge pulls M towards the identity.
        self.pull = penalty.float().diag() @ self.whiten.T
        self.rank = rank

    def fit(self, target: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Left and right factor, mean and prediction [N, m]."""
        coefficients = target.T @ self.features / len(target) + self.pull
        left = torch.linalg.svd(coefficients, full_matrices=False).U[:, : self.rank]
        right = left.T @ coefficients
        mean = target.mean(0)
        return left, right, mean, self.features @ right.T @ left.T + mean


def relu_step(y: Tensor, v: Tensor, rho: float) -> Tensor:
    plus = ((y + rho * v) / (1 + rho)).clamp(min=0)
    minus = v.clamp(max=0)
    cost_plus = (y - plus).square() + rho * (plus - v).square()
    cost_minus = y.square() + rho * (minus - v).square()
    return torch.where(cost_plus <= cost_minus, plus, minus)


def solve(weights: Tensor, bias: Tensor, inputs: Tensor, relu: bool, rank: int, iterations: int) -> tuple[float, float]:
    """Relative squared errors of the linear fit and of the result."""
    r = torch.relu if relu else (lambda z: z)
    step = relu_step if relu else (lambda y, v, rho: (y + rho * v) / (1 + rho))
    response = inputs @ weights.T
    target = response + bias
    y = r(target)
    regression = Regression(response, rank)

    fit = best = regression.fit(target)
    loss = first = (y - r(fit[3])).square().sum().item()
    u, rho = torch.zeros_like(y), 1.0
    admm = (iterations + 1) // 2
    for _ in range(admm):
        z = step(y, fit[3] - u, rho)
        before = fit[3]
        fit = regression.fit(z + u)
        gap = z - fit[3]
        u += gap
        now = (y - r(fit[3])).square().sum().item()
        if now < loss:
            loss, best = now, fit
        primal = gap.norm().item() / max(z.norm().item(), fit[3].norm().item())
        dual = (fit[3] - before).norm().item() / max(u.norm().item(), 1e-30)
        factor = RHO_STEP if primal > BALANCE * dual else 1 / RHO_STEP if dual > BALANCE * primal else 1
        rho *= factor
        u /= factor

    fit, previous, pace = best, best[3], 1.0
    for _ in range(iterations - admm):
        next_pace = (1 + (1 + 4 * pace * pace) ** 0.5) / 2
        ahead = fit[3] + (pace - 1) / next_pace * (fit[3] - previous)
        pace = next_pace
        slope = (ahead > 0).float() if relu else 1.0
        previous = fit[3]
        fit = regression.fit(ahead + (y - r(ahead)) * slope)
        now = (y - r(fit[3])).square().sum().item()
        if now < loss:
            loss, best = now, fit
        else:
            fit, previous, pace = best, best[3], 1.0

    left, right, mean, _ = best
    inner = right @ regression.whiten @ weights
    outer_bias = mean - left @ (right @ (regression.whiten @ regression.mean))
    result = r(inputs @ inner.T @ left.T + outer_bias)
    energy = y.square().sum().item()
    return first / energy, (y - result).square().sum().item() / energy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("problem", type=Path)
    parser.add_argument("--rank", type=int, required=True)
    parser.add_argument("--iterations", type=int, required=True)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with np.load(args.problem) as file:
        weights, bias, inputs = (torch.from_numpy(file[name]) for name in ("weights", "bias", "inputs"))
        relu = bool(file["relu"][0])
    seconds = []
    with torch.inference_mode():
        # The first one is warm-up.
        for _ in range(args.runs + 1):
            started = time.perf_counter()
            linear, error = solve(weights, bias, inputs, relu, args.rank, args.iterations)
            seconds.append(time.perf_counter() - started)
    print(json.dumps({"seconds": statistics.median(seconds[1:]), "linear": linear, "error": error}))


if __name__ == "__main__":
    main()
