"""The same bits, labels included, whatever the engine and whether killed: as one product."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.conditions import (
    MOMENTS,
    THREADS,
    WORKERS,
    clusters,
    complete,
    configuration,
    killed,
    stored,
)
from tests.support.golden import CASES

#: Of the short form.
FEW = ["tied+noise"]


@pytest.fixture(scope="module")
def two_workers() -> Iterator[dict[str, dict[str, Any]]]:
    with clusters((2,)) as found:
        yield found


@pytest.fixture(scope="module")
def all_engines() -> Iterator[dict[str, dict[str, Any]]]:
    with clusters(WORKERS) as found:
        yield THREADS | found


def product(case: str, engines: dict[str, dict[str, Any]], folder: Path, first: int) -> int:
    """Run a case on each engine, undisturbed and killed and resumed; how many runs it were."""
    data = stored(case, folder)
    plain = configuration(case, data, "wanted", THREADS["1 thread(s)"])
    wanted = complete(plain)
    moments = list(MOMENTS)
    for i, (name, cluster) in enumerate(engines.items()):
        assert complete(configuration(case, data, f"through-{i}", cluster)) == wanted, name
        moment = moments[(first + i) % len(moments)]
        values = configuration(case, data, f"killed-{i}", cluster)
        killed(values, moment)
        assert complete(values) == wanted, (name, moment)
    shutil.rmtree(folder)
    return 2 * len(engines)


@pytest.mark.long
@pytest.mark.parametrize("case", FEW)
def test_engines_and_kills_change_no_bit(
    case: str, two_workers: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    """One case on two engines, killed at another moment on each."""
    engines = {"2 thread(s)": THREADS["2 thread(s)"]} | two_workers
    assert product(case, engines, tmp_path, 2 * FEW.index(case) + 1) == 4


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("case", CASES)
def test_every_engine_and_kills_change_no_bit(
    case: str, all_engines: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    """Every model and schedule on 1, 2, 4 threads and 1, 2, 3 workers, through and killed."""
    assert product(case, all_engines, tmp_path, list(CASES).index(case)) == 12
