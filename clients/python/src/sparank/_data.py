"""Samples in whatever form people have them, as the .npz file that the service reads."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._files import FileToSend, file_at

if TYPE_CHECKING:
    from numpy import ndarray

# Samples that are looked at for every one that is taken: a stream may have no end.
SCANNED = 10
INPUT, LABELS = "x", "y"


def array(value: Any) -> ndarray[Any, Any]:
    """An array of a tensor of any framework."""
    import numpy

    if callable(getattr(value, "detach", None)):
        value = value.detach().cpu().numpy()
    return numpy.asarray(value)


def _is_array(value: Any) -> bool:
    return hasattr(value, "__array__") and hasattr(value, "shape")


def named(batch: Any) -> dict[str, ndarray[Any, Any]]:
    """The arrays of samples that belong together, by their names."""
    if isinstance(batch, Mapping):
        return {str(name): array(value) for name, value in batch.items()}
    if isinstance(batch, (tuple, list)) and len(batch) in (1, 2) and all(map(_is_array, batch)):
        return {name: array(value) for name, value in zip((INPUT, LABELS), batch)}
    if _is_array(batch):
        return {INPUT: array(batch)}
    raise TypeError(f"samples are an array, (samples, labels) or a dict of arrays, not {type(batch).__name__}")


def _length(arrays: Mapping[str, ndarray[Any, Any]]) -> int:
    lengths = {name: len(value) for name, value in arrays.items()}
    if len(set(lengths.values())) != 1:
        raise ValueError(f"the arrays have different numbers of samples: {lengths}")
    return next(iter(lengths.values()))


def _with_samples(arrays: Mapping[str, ndarray[Any, Any]]) -> dict[str, ndarray[Any, Any]]:
    """Without what all samples have alike (a state, a rate): arrays of named inputs that are shorter than the longest."""
    longest = max((len(value) for value in arrays.values() if value.ndim > 0), default=0)
    return {
        name: value
        for name, value in arrays.items()
        if name in (INPUT, LABELS) or (value.ndim > 0 and len(value) == longest)
    }


def _is_loader(data: Any) -> bool:
    """A PyTorch DataLoader over a dataset whose samples can be asked for by number."""
    set_ = getattr(data, "dataset", None)
    return callable(getattr(data, "collate_fn", None)) and hasattr(set_, "__getitem__") and hasattr(set_, "__len__")


def _of_loader(loader: Any, most: int, random: Any) -> dict[str, ndarray[Any, Any]]:
    """Chosen by their numbers: whatever order the loader shuffles them into, they are the same, and no other is read."""
    total = len(loader.dataset)
    chosen = range(total) if total <= most else sorted(random.choice(total, most, replace=False).tolist())
    return named(loader.collate_fn([loader.dataset[i] for i in chosen]))


def _singles(batches: Iterable[Any]) -> Iterator[dict[str, Any]]:
    for batch in batches:
        arrays = named(batch)
        for i in range(_length(arrays)):
            yield {name: value[i] for name, value in arrays.items()}


def _of_stream(batches: Iterable[Any], most: int, random: Any) -> dict[str, ndarray[Any, Any]]:
    """A reservoir: each of the samples that were looked at is as likely to be in it as any other."""
    import numpy

    kept: list[tuple[int, dict[str, Any]]] = []
    for i, sample in enumerate(_singles(batches)):
        if i >= SCANNED * most:
            break
        if i < most:
            kept.append((i, sample))
        elif (place := int(random.integers(i + 1))) < most:
            kept[place] = (i, sample)
    if not kept:
        raise ValueError("there are no samples")
    ordered = [sample for _, sample in sorted(kept, key=lambda one: one[0])]
    return {name: numpy.stack([sample[name] for sample in ordered]) for name in ordered[0]}


def arrays_of(data: Any, most: int, seed: int) -> dict[str, ndarray[Any, Any]]:
    import numpy

    random = numpy.random.default_rng(seed)
    if _is_loader(data):
        return _of_loader(data, most, random)
    pair = isinstance(data, (tuple, list)) and len(data) == 2 and all(map(_is_array, data))
    if isinstance(data, Mapping) or _is_array(data) or pair:
        arrays = named(data)
        total = _length(_with_samples(arrays))
        if total <= most:
            return arrays
        chosen = numpy.sort(random.choice(total, most, replace=False))
        of_samples = _with_samples(arrays)
        return {name: value[chosen] if name in of_samples else value for name, value in arrays.items()}
    if callable(getattr(data, "as_numpy_iterator", None)):
        data = data.as_numpy_iterator()
    if isinstance(data, Iterable):
        return _of_stream(data, most, random)
    raise TypeError(f"samples cannot be read from {type(data).__name__}")


def one_sample(data: Any) -> ndarray[Any, Any]:
    """The first input of the data, as a batch of one: what a network is traced with."""
    import numpy

    if isinstance(data, (str, os.PathLike)):
        file = numpy.load(data, allow_pickle=False)
        if isinstance(file, numpy.ndarray):
            return file[:1]
        with file:
            first: ndarray[Any, Any] = file[INPUT if INPUT in file.files else file.files[0]]
            return first[:1]
    arrays = arrays_of(data, 1, 0)
    return next(value for name, value in arrays.items() if name != LABELS)


def samples_file(
    data: Any, role: str, *, max_samples: int, seed: int, labels: bool = False
) -> FileToSend | dict[str, Any] | None:
    """The file to send; what is at the service already as it was named."""
    if data is None or (isinstance(data, dict) and data.keys() & {"upload", "url"}):
        return data
    if isinstance(data, (str, os.PathLike)):
        return file_at(Path(data))
    import numpy

    arrays = arrays_of(data, max_samples, seed)
    # Nothing is fitted to labels; a mapping says by itself what is in it.
    if not labels and not isinstance(data, Mapping):
        arrays.pop(LABELS, None)
    buffer = io.BytesIO()
    numpy.savez(buffer, **arrays)  # type: ignore[arg-type]
    return FileToSend(f"{role}.npz", buffer.getvalue())
