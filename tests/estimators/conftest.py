"""Small data with known clusters, in memory and as Zarr."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray

from emdist.store.sources.zarr_source import ZarrSource

CENTRES = np.array([[0.0, 0.0, 0.0], [7.0, 1.0, -2.0], [-3.0, 8.0, 4.0]])


def blobs(n: int = 600, seed: int = 0) -> NDArray[np.float64]:
    """(n, 3) rows of three overlapping clusters, shuffled."""
    rng = np.random.default_rng(seed)
    return CENTRES[rng.integers(0, 3, n)] + rng.normal(size=(n, 3)) * [1.0, 1.5, 2.0]


@pytest.fixture
def x() -> NDArray[np.float64]:
    return blobs()


@pytest.fixture
def stored(x: NDArray[np.float64], tmp_path: Path) -> Path:
    """`x` as a Zarr array of six chunks."""
    array = zarr.create_array(tmp_path / "x.zarr", shape=x.shape, chunks=(100, 3), dtype="f8")
    array[:] = x
    return tmp_path / "x.zarr"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Blocks that were read from Zarr, in order."""
    seen: list[int] = []
    read: Callable[..., object] = ZarrSource.read

    def counted(self: ZarrSource, i: int) -> object:
        seen.append(i)
        return read(self, i)

    monkeypatch.setattr(ZarrSource, "read", counted)
    return seen
