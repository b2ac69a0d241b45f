"""Plain distillation: a network is trained to give the outputs of another on the calibration images, without labels."""

import math
import time

import numpy as np
import torch
from torch import Tensor, nn

PASSES = 100
BATCH = 32
RATE = 1e-3
SHIFT = 1 / 8  # of the size, at most
SEED = 3


def varied(images: Tensor) -> Tensor:
    """Mirrored at random and moved by some pixels, as is usual with few images; the same for a whole batch."""
    height, width = images.shape[-2:]
    if torch.rand(()) < 0.5:
        images = images.flip(-1)
    down, right = (int(torch.randint(-int(size * SHIFT), int(size * SHIFT) + 1, ())) for size in (height, width))
    moved = torch.nn.functional.pad(images, (abs(right),) * 2 + (abs(down),) * 2, mode="replicate")
    return moved[..., abs(down) - down : abs(down) - down + height, abs(right) - right : abs(right) - right + width]


def outputs_of(network: nn.Module, images: Tensor) -> tuple[Tensor, ...]:
    results = network(images)
    return results if isinstance(results, tuple) else (results,)


def distil(student: nn.Module, teacher: nn.Module, images: np.ndarray, seconds: float) -> None:
    """In so many seconds of the processor at most. Adam on the squared error over the variance of the outputs; the rate falls as a cosine to zero."""
    torch.manual_seed(SEED)
    channels_first = images.ndim == 4 and images.shape[1] <= 4
    with torch.no_grad():
        spread = [value.var() for value in outputs_of(teacher, torch.from_numpy(images[:BATCH]).float())]
    optimizer = torch.optim.Adam(student.parameters(), RATE)
    begun = time.process_time()
    student.train()
    steps = PASSES * math.ceil(len(images) / BATCH)
    for step in range(steps):
        done = max(step / steps, (time.process_time() - begun) / seconds)
        if done >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = RATE * (1 + math.cos(math.pi * done)) / 2
        batch = torch.from_numpy(images[torch.randint(len(images), (BATCH,)).numpy()]).float()
        batch = varied(batch) if channels_first else batch
        with torch.no_grad():
            wanted = outputs_of(teacher, batch)
        given = outputs_of(student, batch)
        loss = sum((a - b).square().mean() / scale for a, b, scale in zip(given, wanted, spread))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    student.eval()
