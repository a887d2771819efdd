"""Reads starting values from a file: means, mixture weights and scales."""

from __future__ import annotations

import io
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from emdist.errors import NotFoundError, StartError
from emdist.fit.start import Given
from emdist.inputs.quoting import without_credentials
from emdist.runtime.defects import is_defect

#: The first bytes of an .npy file. An .npz file begins as a zip archive does.
_NPY = b"\x93NUMPY"

#: Names of a chain's probabilities, as estimators call them.
_CHAIN = {"startprob": "start", "transmat": "transitions"}


def read_start(path: str | None) -> Given:
    """Return the starting values in an .npz: ``means`` and, optionally, ``weights`` and scales.

    Those of a hidden Markov model may be ``startprob`` and ``transmat``, too.
    """
    if path is None:
        return Given()
    try:
        arrays = _numbers(path)
    except FileNotFoundError:
        raise NotFoundError(
            f"fit.start: the file {without_credentials(path)} does not exist."
        ) from None
    except Exception as error:  # NumPy and zipfile raise errors of many types.
        if is_defect(error, _read_sound_start):
            raise
        raise StartError(
            f"fit.start: {without_credentials(path)} is not an .npz of numbers ({error}). "
            "Write it with numpy.savez(path, means=..., weights=...)."
        ) from None
    means, weights = arrays.pop("means", None), arrays.pop("weights", None)
    chain = {own: arrays.pop(name) for name, own in _CHAIN.items() if name in arrays}
    return Given(means, weights, arrays, chain=chain)


def _numbers(path: str | IO[bytes]) -> dict[str, Any]:
    """Return the arrays of an .npz as float64."""
    if isinstance(path, str):
        with Path(path).open("rb") as file:
            first = file.read(len(_NPY))
        if not first.startswith((b"PK", _NPY)):
            # NumPy would take it for a pickle, and its message would be about pickles.
            raise ValueError("it is neither an .npz nor an .npy file")
    stored = np.load(path, allow_pickle=False)
    if not isinstance(stored, np.lib.npyio.NpzFile):
        raise ValueError("it holds one array without a name")
    with stored:
        arrays = {name: _array(stored, name) for name in stored.files}
    if odd := [name for name, array in arrays.items() if array.dtype.kind not in "biuf"]:
        raise ValueError(f"{odd[0]:.60} has dtype {arrays[odd[0]].dtype}")
    return {name: array.astype(np.float64) for name, array in arrays.items()}


def _array(stored: Any, name: str) -> NDArray[Any]:
    try:
        return np.asarray(stored[name])
    except ValueError as error:
        if "allow_pickle" in str(error):
            raise ValueError(f"{name:.60} holds Python objects") from None
        raise


def _read_sound_start() -> None:
    stream = io.BytesIO()
    np.savez(stream, means=np.zeros((1, 1)))
    stream.seek(0)
    _numbers(stream)
