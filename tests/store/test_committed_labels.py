"""Labels in an Icechunk repository: one commit of complete labels, or nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from emdist import commit_labels
from emdist.errors import CheckpointError, ConfigError, OutputExistsError, StorageError
from emdist.jobs.job import Job
from emdist.jobs.run import open_job
from emdist.settings.config import make_config
from tests.store.test_store_objects import icechunk, repository


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """Complete labels of a run."""
    x = np.concatenate([np.random.default_rng(0).normal(c, 0.2, (100, 2)) for c in (0.0, 5.0)])
    zarr.create_array(tmp_path / "x.zarr", data=x, chunks=(20, 2))
    values: dict[str, Any] = {
        "data": {"path": str(tmp_path / "x.zarr"), "block_size": "1 KiB"},
        "model": {"name": "full", "n_components": 2},
        "run": {"folder": str(tmp_path / "runs"), "key": "r"},
        "labels": {"outputs": ["labels", "score"]},
    }
    with open_job(make_config(values)) as job:
        assert isinstance(job, Job)
        job.complete()
    return tmp_path / "runs" / "r" / "labels.zarr"


def history(repo: Any) -> list[str]:
    return [one.message for one in repo.ancestry(branch="main")]


def test_labels_are_one_commit_and_a_second_call_changes_nothing(
    labels: Path, tmp_path: Path
) -> None:
    repo = repository(tmp_path)
    before = len(history(repo))
    snapshot = commit_labels(labels, repo.writable_session("main"), "maps/labels", "by emdist")
    assert history(repo)[0] == "by emdist"
    assert len(history(repo)) == before + 1
    group = zarr.open_group(repo.readonly_session("main").store, path="maps/labels", mode="r")
    source = zarr.open_group(labels, mode="r")
    for name in ("labels", "score"):
        assert group[name][:].tobytes() == source[name][:].tobytes()
        assert repr(group[name].metadata) == repr(source[name].metadata)
    assert dict(group.attrs) == dict(source.attrs)
    again = commit_labels(labels, repo.writable_session("main"), "maps/labels")
    assert again == snapshot
    assert len(history(repo)) == before + 1


def test_nothing_is_committed_where_the_copy_breaks_off(
    labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = repository(tmp_path)
    before = history(repo)
    session, put = repo.writable_session("main"), icechunk.IcechunkStore.set
    copied: list[str] = []

    async def breaking(self: Any, key: str, value: Any) -> None:
        copied.append(key)
        if len(copied) > 6:
            raise OSError(28, "No space left on device")
        await put(self, key, value)

    monkeypatch.setattr(icechunk.IcechunkStore, "set", breaking)
    with pytest.raises(StorageError, match="disk is full"):
        commit_labels(labels, session)
    monkeypatch.undo()
    assert history(repo) == before
    with pytest.raises(ConfigError, match="changes that are not committed"):
        commit_labels(labels, session)
    commit_labels(labels, repo.writable_session("main"))
    assert len(history(repo)) == len(before) + 1


def test_incomplete_and_damaged_labels_are_refused(labels: Path, tmp_path: Path) -> None:
    repo = repository(tmp_path)
    chunk = next(path for path in (labels / "labels" / "c").iterdir() if path.is_file())
    raw = chunk.read_bytes()
    chunk.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    with pytest.raises(CheckpointError, match="damaged blocks"):
        commit_labels(labels, repo.writable_session("main"))
    chunk.write_bytes(raw)
    for row in (labels / "progress" / "c").rglob("0"):
        if row.is_file():
            row.unlink()
            break
    with pytest.raises(CheckpointError, match="not labelled yet"):
        commit_labels(labels, repo.writable_session("main"))
    with pytest.raises(CheckpointError, match="no labels of emdist"):
        commit_labels(tmp_path / "x.zarr", repo.writable_session("main"))


def test_sessions_that_cannot_take_labels_are_refused(labels: Path, tmp_path: Path) -> None:
    repo = repository(tmp_path)
    with pytest.raises(ConfigError, match="session is read-only"):
        commit_labels(labels, repo.readonly_session("main"))
    with pytest.raises(ConfigError, match=r"expected a session of Icechunk, as repo\.writable"):
        commit_labels(labels, str(tmp_path))  # type: ignore[arg-type]
    session = repo.writable_session("main")
    zarr.create_group(session.store, path="labels")
    session.commit("another group")
    with pytest.raises(OutputExistsError, match="something else at labels"):
        commit_labels(labels, repo.writable_session("main"))
