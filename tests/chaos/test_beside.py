"""Commands beside each other on one data set, in processes of their own, disturb nobody."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path
from typing import Any

import pytest

from tests.support.killable_jobs import (
    Fit,
    configuration,
    fitting,
    overlapping,
    result,
    undisturbed,
)

#: Exit code of a run that another has taken over.
FENCED = 4


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return overlapping(tmp_path_factory.mktemp("data") / "x.zarr", rows=20_000)


@pytest.fixture(scope="module")
def wanted(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The result of a run alone."""
    folder = tmp_path_factory.mktemp("alone")
    return undisturbed(configuration(data, folder, "full"), folder)


def together(configs: list[dict[str, Any]], folder: Path) -> list[Fit]:
    """All of them at once, each to its end."""
    with contextlib.ExitStack() as stack:
        fits = []
        for i, config in enumerate(configs):
            place = folder / f"place-{i}"
            place.mkdir()
            fits.append(stack.enter_context(fitting(config, place)))
        for fit in fits:
            fit.end()
    return fits


@pytest.mark.long
def test_fits_of_one_data_set_in_their_own_folders(
    data: Path, tmp_path: Path, wanted: dict[str, str]
) -> None:
    configs = [configuration(data, tmp_path, "full", key) for key in "ab"]
    configs[1]["cluster"] = {"kind": "local", "n_workers": 1}
    for fit in together(configs, tmp_path):
        assert fit.process.returncode == 0, fit.errors
    for key in "ab":
        assert result(tmp_path / key) == wanted


def check_contest(fits: list[Fit], run: Path, wanted: dict[str, str]) -> None:
    """One has won, with the bits; the others are told so, or found the work done."""
    codes = [fit.process.returncode for fit in fits]
    assert 0 in codes, [fit.errors for fit in fits]
    assert set(codes) <= {0, FENCED}, [fit.errors for fit in fits]
    for fit in fits:
        assert not any("Traceback" in line for line in fit.errors), fit.errors
        if fit.process.returncode == FENCED:
            assert any("Nothing is lost" in str(e.get("message")) for e in fit.events), fit.events
    assert result(run) == wanted


@pytest.mark.long
def test_fits_that_start_at_once_in_one_folder(
    data: Path, tmp_path: Path, wanted: dict[str, str]
) -> None:
    fits = together([configuration(data, tmp_path, "full")] * 2, tmp_path)
    check_contest(fits, tmp_path / "r", wanted)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(8))
def test_fits_that_come_one_after_the_other_into_one_folder(
    seed: int, data: Path, tmp_path: Path, wanted: dict[str, str]
) -> None:
    """A second command at a random moment of the first, and a third of the second."""
    rng, config = random.Random(seed), configuration(data, tmp_path, "full")
    with contextlib.ExitStack() as stack:
        fits = []
        for i in range(3):
            place = tmp_path / f"place-{i}"
            place.mkdir()
            fits.append(stack.enter_context(fitting(config, place)))
            for _ in range(rng.randrange(60)):
                if fits[-1].event() is None:
                    break
        for fit in fits:
            fit.end()
    check_contest(fits, tmp_path / "r", wanted)
