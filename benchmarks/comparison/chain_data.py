"""The data of hidden Markov models: rows that a chain of Gaussian states emits, drawn once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.comparison.data import Clusters
from emdist.interfaces import Array, Floats

#: The probability that a state lasts for one more row, in the data and where fits start.
_LASTING = 0.9


@dataclass(frozen=True)
class ChainRows:
    """Rows of a hidden Markov chain, with Gaussians of unit width for states.

    Attributes
    ----------
    rows, features, states
        Number of rows, of features, and of states of data and start.
    length
        Number of rows of a sequence; None for one sequence of all rows.
    """

    rows: int
    features: int
    states: int
    length: int | None = None

    def __str__(self) -> str:
        shape = Clusters(self.rows, self.features, self.states, "float64")
        kind = "one sequence" if self.length is None else f"sequences of {self.length}"
        return f"{shape}, {kind}"

    @property
    def nbytes(self) -> int:
        return 8 * self.rows * self.features

    def lengths(self) -> Array:
        """Return the number of rows of each sequence."""
        length = self.rows if self.length is None else self.length
        return np.array([min(length, self.rows - at) for at in range(0, self.rows, length)])


def transitions(k: int) -> Floats:
    """Return the transition probabilities of the data, from which fits start too: (k, k)."""
    found = np.full((k, k), (1 - _LASTING) / max(1, k - 1))
    np.fill_diagonal(found, _LASTING if k > 1 else 1.0)
    return found


def chain_in_memory(data: ChainRows, folder: Path) -> Mapping[str, Path]:
    """Write ``x``, ``start`` and ``lengths`` as .npy files, and return the files."""
    rng, k = np.random.default_rng(3), data.states
    means = rng.normal(0, 1, (k, data.features))
    # A state lasts, or changes to one of the others: that needs no loop over rows.
    moves = rng.integers(1, max(2, k), data.rows) * (rng.random(data.rows) > _LASTING)
    x = rng.standard_normal((data.rows, data.features))
    x += means[np.cumsum(moves) % k]
    start = means + rng.normal(0, 0.3, means.shape)
    parts = {"x": x, "start": start, "lengths": data.lengths()}
    files = {name: folder / f"chain-{name}.npy" for name in parts}
    for name, values in parts.items():
        np.save(files[name], values)
    return files
