"""Every row of the table of bad data, for every model and both ways in: answer or error."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import emdist
from emdist.errors import EmdistError
from emdist.jobs.job import Job
from emdist.jobs.run import open_job
from emdist.settings.config import make_config
from tests.estimators.bad_data import (
    MAX_ITER,
    TABLE,
    TOL,
    Row,
    fitted,
    locations,
    markdown,
    schedule_of,
    section_of,
)
from tests.support.paths import ROOT

DOCS = ROOT / "docs/reliability.md"
#: Models that go through a configuration in every run of the tests; the others in the long one.
FIRST = ("kmeans", "full", "bernoulli")

CASES = [(row, name) for row in TABLE for name in row.names]
STORED = [
    pytest.param(
        row, name, marks=() if name in FIRST else pytest.mark.slow, id=f"{row.what}-{name}"
    )
    for row, name in CASES
    if row.stored
]


def test_the_documentation_has_this_table() -> None:
    assert markdown() in DOCS.read_text(encoding="utf-8")


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.what)
def test_an_estimator_gives_the_right_answer_or_the_error(row: Row) -> None:
    for name in row.names:
        if row.error is None:
            check_answer(row, name, fitted(name, row.k, row.make(), row.options))
            continue
        with pytest.raises(EmdistError, match=row.says) as told:
            fitted(name, row.k, row.make(), row.options)
        assert isinstance(told.value, row.error), name


@pytest.mark.covering
@pytest.mark.parametrize(("row", "name"), STORED)
def test_a_configuration_gives_the_right_answer_or_the_error(
    row: Row, name: str, tmp_path: Path
) -> None:
    rows, weights = row.make()
    put(tmp_path / "x.zarr", np.asarray(rows))
    section = section_of(name, rows, row.k)
    data: dict[str, Any] = {"path": str(tmp_path / "x.zarr"), **row.options}
    if weights is not None:
        put(tmp_path / "w.zarr", weights)
        data["weights"] = str(tmp_path / "w.zarr")
    values = {
        "data": data,
        "model": section,
        "fit": {"tol": TOL, "max_iter": MAX_ITER, **schedule_of(name)},
        "run": {"folder": str(tmp_path), "key": "r"},
        "labels": {"write": False},
    }
    if row.error is None:
        finish(values)
        check_answer(row, name, emdist.load(tmp_path / "r"))
        return
    with pytest.raises(EmdistError) as told:
        finish(values)
    assert isinstance(told.value, row.error)
    assert re.search(row.says, str(told.value)), told.value


def finish(values: dict[str, Any]) -> None:
    with open_job(make_config(values)) as job:
        assert isinstance(job, Job)
        job.complete()


def put(path: Path, x: Any) -> None:
    chunks = tuple(max(1, min(10, n)) if i == 0 else max(1, n) for i, n in enumerate(x.shape))
    array = zarr.create_array(path, shape=x.shape, chunks=chunks, dtype=x.dtype,
                              config={"write_empty_chunks": True})  # fmt: skip
    if x.size:
        array[:] = x


def check_answer(row: Row, name: str, est: Any) -> None:
    """Fail unless `est` is the fit of the sane equivalent, moved and scaled."""
    assert row.like is not None
    wanted = fitted(name, row.k, row.like(), {})
    sane = row.like()[0]
    found, like = locations(est), locations(wanted)
    found = (found[..., : like.shape[-1]] - row.moved) / row.scaled
    same = min((found, found[::-1]), key=lambda one: np.abs(one - like).max())
    error = np.abs(same - like).max()
    assert name in row.but or error < 2e-6 * max(1.0, np.abs(like).max()), (name, error)
    given = np.asarray(row.make()[0])
    if given.shape[0] == len(sane) and np.isfinite(given.astype(np.float64)).all():
        ours, theirs = est.predict(given), wanted.predict(sane)
        assert np.array_equal(ours, theirs) or np.array_equal(ours, row.k - 1 - theirs), name
