"""Samples in the forms that people have them in."""

from __future__ import annotations

import io

import numpy as np
import pytest

from sparank._data import SCANNED, arrays_of, one_sample, samples_file

X = np.arange(300 * 4, dtype=np.float32).reshape(300, 4)
Y = np.arange(300) % 7


def content(file):
    with np.load(io.BytesIO(file.content)) as arrays:
        return {name: arrays[name] for name in arrays.files}


def of(data, most=100, seed=1, labels=True):
    return content(samples_file(data, "evaluation", max_samples=most, seed=seed, labels=labels))


class Loader:
    """As PyTorch's DataLoader: a dataset that can be asked for single samples, and how a batch is made of them."""

    def __init__(self, shuffled):
        self.dataset = list(zip(X, Y))
        self.shuffled = shuffled
        self.read = []
        outer = self

        class Recorded(list):
            def __getitem__(self, i):
                outer.read.append(i)
                return super().__getitem__(i)

        self.dataset = Recorded(zip(X, Y))

    @staticmethod
    def collate_fn(samples):
        return [np.stack([x for x, _ in samples]), np.array([y for _, y in samples])]


class TfData:
    def as_numpy_iterator(self):
        for i in range(0, 300, 32):
            yield X[i : i + 32], Y[i : i + 32]


def endless():
    i = 0
    while True:
        yield np.full((10, 2), i, np.float32)
        i += 1


def test_all_samples_are_taken_where_there_are_few():
    assert np.array_equal(of(X, 300)["x"], X)
    assert set(of((X, Y), 300)) == {"x", "y"}
    # Nothing is fitted to labels.
    assert set(of((X, Y), 300, labels=False)) == {"x"}
    assert set(of({"a": X, "b": X}, 300)) == {"a", "b"}


@pytest.mark.parametrize("make", [lambda: X, lambda: (X, Y), lambda: {"x": X, "y": Y}, lambda: Loader(True), TfData])
def test_many_are_sampled_by_the_seed_alone(make):
    first, again, other = of(make()), of(make()), of(make(), seed=2)
    assert len(first["x"]) == 100
    assert np.array_equal(first["x"], again["x"])
    assert not np.array_equal(first["x"], other["x"])
    # Every sample once, in their order, each with its label.
    numbers = first["x"][:, 0] / 4
    assert (np.diff(numbers) > 0).all()
    if "y" in first:
        assert np.array_equal(first["y"], numbers % 7)


def test_only_the_chosen_samples_of_a_loader_are_read():
    loader = Loader(True)
    of(loader)
    assert len(loader.read) == 100


def test_a_stream_without_an_end_is_read_so_far():
    found = of(endless(), most=20)["x"]
    assert len(found) == 20 and found.max() < SCANNED * 20 / 10
    assert found.max() > 2  # not only the first ones


def test_the_same_samples_make_the_same_file():
    assert samples_file(X, "x", max_samples=50, seed=3).sha256 == samples_file(X, "x", max_samples=50, seed=3).sha256


def test_what_all_samples_have_alike_stays_whole():
    state, rate = np.zeros((2, 1, 4), np.float32), np.array(16000)
    found = arrays_of({"signal": X, "state": state, "rate": rate}, 10, 1)
    assert len(found["signal"]) == 10
    assert found["state"].shape == state.shape and found["rate"].shape == ()


def test_what_does_not_fit_is_refused(tmp_path):
    with pytest.raises(ValueError, match="different numbers of samples"):
        arrays_of((X, Y[:10]), 10, 1)
    with pytest.raises(TypeError, match="cannot be read from int"):
        arrays_of(7, 10, 1)
    with pytest.raises(ValueError, match="no samples"):
        arrays_of(iter([]), 10, 1)
    with pytest.raises(FileNotFoundError):
        samples_file(tmp_path / "none.npz", "x", max_samples=1, seed=1)
    assert samples_file({"upload": "upl_1"}, "x", max_samples=1, seed=1) == {"upload": "upl_1"}


def test_one_sample_is_a_batch_of_one(tmp_path):
    np.savez(tmp_path / "a.npz", x=X, y=Y)
    np.save(tmp_path / "a.npy", X)
    for data in (X, (X, Y), tmp_path / "a.npz", tmp_path / "a.npy", Loader(False)):
        assert one_sample(data).shape == (1, 4)
