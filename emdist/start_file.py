"""A start that is stored in a file: means, weights and scales."""

from __future__ import annotations

import io
from typing import IO, Any

import numpy as np

from emdist.defects import is_defect
from emdist.errors import NotFoundError, StartError
from emdist.fit.start import Given
from emdist.quoting import without_credentials


def read_start(path: str | None) -> Given:
    """The start stored in an .npz: ``means`` and, if wanted, ``weights`` and scales."""
    if path is None:
        return Given()
    try:
        arrays = _numbers(path)
    except FileNotFoundError:
        raise NotFoundError(
            f"There is no start file {without_credentials(path)} (fit.start)."
        ) from None
    except Exception as error:  # NumPy and zipfile raise what they like
        if is_defect(error, _read_sound_start):
            raise
        raise StartError(
            f"fit.start: {without_credentials(path)} is not an .npz of numbers ({error}). "
            "Write it with numpy.savez(path, means=..., weights=...)."
        ) from None
    means, weights = arrays.pop("means", None), arrays.pop("weights", None)
    return Given(means, weights, arrays)


def _numbers(path: str | IO[bytes]) -> dict[str, Any]:
    """The arrays of an .npz as float64."""
    stored = np.load(path, allow_pickle=False)
    if not isinstance(stored, np.lib.npyio.NpzFile):
        raise ValueError("it holds one array")
    with stored:
        arrays = {name: np.asarray(stored[name]) for name in stored.files}
    if odd := [name for name, array in arrays.items() if array.dtype.kind not in "biuf"]:
        raise ValueError(f"{odd[0]:.60} has dtype {arrays[odd[0]].dtype}")
    return {name: array.astype(np.float64) for name, array in arrays.items()}


def _read_sound_start() -> None:
    stream = io.BytesIO()
    np.savez(stream, means=np.zeros((1, 1)))
    stream.seek(0)
    _numbers(stream)
