"""Starts that are stored in files: what is none is told, with the component that it is of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from emdist.composition.start_file import read_start
from emdist.errors import StartError
from emdist.jobs.run import open_job
from emdist.settings.config import make_config

MEANS, EYE = np.array([[0.0, 0, 0], [8, 8, 8]]), np.eye(3)
ASYMMETRIC = np.array([[1.0, 0.5, 0], [0, 1, 0], [0, 0, 1]])
INDEFINITE = np.diag([1.0, -1.0, 1.0])


def started(folder: Path, name: str, options: dict[str, Any], **arrays: Any) -> None:
    """A fit from a file of `arrays`."""
    np.savez(folder / "start.npz", means=MEANS, **arrays)
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(size=(40, 3)), rng.normal(size=(40, 3)) + 8])
    zarr.save(str(folder / "x.zarr"), x)
    config = make_config({
        "data": {"path": str(folder / "x.zarr")},
        "model": {"name": name, "n_components": 2, "options": options},
        "fit": {"start": str(folder / "start.npz")},
        "run": {"folder": str(folder / "runs")},
    })  # fmt: skip
    with open_job(config) as job:
        job.complete()


@pytest.mark.parametrize(
    ("name", "arrays", "said"),
    [
        ("full", {"covariances": [EYE, ASYMMETRIC]}, "covariances of component 1 is not symmetric"),
        ("full", {"covariances": [INDEFINITE, EYE]}, "of component 0 is not positive definite"),
        ("full", {"covariances": [1e-20 * ASYMMETRIC, EYE]}, "of component 0 is not symmetric"),
        ("tied", {"covariance": ASYMMETRIC}, "starting covariance is not symmetric"),
        ("tied", {"covariance": INDEFINITE}, "starting covariance is not positive definite"),
        ("diagonal", {"variances": [[1, 1, 1], [1, -2, 1]]}, "variances of component 1 contain -2"),
        (
            "spherical",
            {"variances": [0, 1]},
            "variances of component 0 contain 0; expected numbers > 0",
        ),
    ],
)
def test_widths_that_are_none_are_refused(
    tmp_path: Path, name: str, arrays: dict[str, Any], said: str
) -> None:
    with pytest.raises(StartError, match=said):
        started(tmp_path, name, {}, **arrays)


def test_widths_of_a_part_are_refused_too(tmp_path: Path) -> None:
    options = {"groups": [{"columns": "0:3", "family": "full"}]}
    with pytest.raises(StartError, match=r"parts\.0\.covariances of component 1 is not symmetric"):
        started(tmp_path, "product", options, **{"parts.0.covariances": [EYE, ASYMMETRIC]})


def test_sound_widths_are_taken(tmp_path: Path) -> None:
    started(tmp_path, "full", {}, covariances=[EYE, 1e-9 * EYE])


@pytest.mark.parametrize("text", [b"means: [[0, 0]]\n", b"", b"0.5,1.5\n2,3\n", b"\x80\x04"])
def test_a_file_that_is_no_npz_is_told_as_such(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "start.txt"
    path.write_bytes(text)
    with pytest.raises(
        StartError, match=r"fit\.start: .*\(it is neither an \.npz nor an \.npy file\)"
    ) as told:
        read_start(str(path))
    assert "pickle" not in str(told.value)
    assert "numpy.savez" in str(told.value)


def test_an_array_of_objects_is_told_as_such(tmp_path: Path) -> None:
    np.savez(tmp_path / "start.npz", means=np.array([[1, None]], object))
    with pytest.raises(StartError, match="means holds Python objects"):
        read_start(str(tmp_path / "start.npz"))
