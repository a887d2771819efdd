"""Credentials that expire amid a flow: renewed ones are used, else the run can go on later."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
import zarr

from emdist.errors import AccessDeniedError
from emdist.flows import label as label_module
from emdist.flows import stages
from emdist.flows.cluster import cluster
from emdist.flows.label import Labelling
from emdist.jobs.job import Job
from emdist.settings.config import make_config
from emdist.store.places.location import Location, open_zarr_store
from tests.support import faulty_s3
from tests.support.faulty_s3 import S3, serving

pytestmark = pytest.mark.usefixtures("api")

FORBIDDEN = (
    b'<?xml version="1.0"?><Error><Code>ExpiredToken</Code>'
    b"<Message>The provided token has expired.</Message></Error>"
)


class Keyed(faulty_s3.Handler):
    """Serves who has the key that is valid now."""

    valid = "KEY1"

    def _serve(self) -> None:
        if f"Credential={self.valid}/" in (self.headers.get("Authorization") or ""):
            super()._serve()
            return
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._answer(403, {}, FORBIDDEN)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _serve  # noqa: N815


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    monkeypatch.setattr(Keyed, "valid", "KEY1")
    with serving(Keyed) as found:
        place = Location(found.url("x.zarr"), found.options(access_key_id="KEY1"))
        x = np.random.default_rng(0).normal(size=(600, 2))
        store = open_zarr_store(place, read_only=False)
        array = zarr.create_array(store, shape=x.shape, chunks=(200, 2), dtype="float64")
        array[:] = x
        yield found


@pytest.fixture
def secret(bucket: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of storage options, as a mounted secret."""
    path = tmp_path / "secret.yaml"
    written(path, bucket, "KEY1")
    monkeypatch.setenv("EMDIST_STORAGE_OPTIONS", str(path))
    return path


def written(path: Path, bucket: S3, key: str) -> None:
    options = bucket.options(access_key_id=key)
    sections = {name: dict(options) for name in ("data", "run", "labels", "model")}
    path.write_text(yaml.safe_dump(sections))


def config(bucket: S3, key: str) -> Any:
    return make_config(
        {
            "data": {"path": bucket.url("x.zarr"), "block_size": "3200 B"},
            "model": {"name": "diagonal", "n_components": 2},
            "fit": {"max_iter": 6, "tol": 0.0},
            "run": {"folder": bucket.url("runs"), "key": key, "checkpoint_iterations": 2},
            "cluster": {"kind": "threads", "threads": 1, "cache": "off"},
        }
    )


def test_renewed_credentials_are_used_and_the_run_goes_on(
    bucket: S3, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment = Job.segment

    def expires(job: Job[Any, Any]) -> Any:
        state = segment(job)
        if state.iterations == 2 and Keyed.valid == "KEY1":
            monkeypatch.setattr(Keyed, "valid", "KEY2")
            written(secret, bucket, "KEY2")
        return state

    monkeypatch.setattr(stages.Job, "segment", expires)
    found = cluster(config(bucket, "renewed"))
    assert found["iterations"] == 6


def test_renewed_credentials_are_used_when_labels_are_written(
    bucket: S3, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster(config(bucket, "fitted"))
    label_data = label_module.label_data

    def expires(*arguments: Any) -> Any:
        monkeypatch.setattr(Keyed, "valid", "KEY2")
        written(secret, bucket, "KEY2")
        return label_data(*arguments)

    monkeypatch.setattr(label_module, "label_data", expires)
    found = label_module.label(
        Labelling(
            model=bucket.url("runs/fitted/final"),
            data={"path": bucket.url("x.zarr"), "block_size": "3200 B"},
            out=bucket.url("labels.zarr"),
            cluster={"kind": "threads", "threads": 1, "cache": "off"},
        )
    )
    assert found["rows"] == 600


def test_expired_credentials_are_told_and_the_run_can_be_resumed(
    bucket: S3, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment = Job.segment

    def expires(job: Job[Any, Any]) -> Any:
        state = segment(job)
        monkeypatch.setattr(Keyed, "valid", "KEY2")
        return state

    with monkeypatch.context() as once:
        once.setattr(stages.Job, "segment", expires)
        with pytest.raises(AccessDeniedError, match=r"access denied .*If they have expired, renew"):
            cluster(config(bucket, "resumed"))
    written(secret, bucket, "KEY2")
    found = cluster(config(bucket, "resumed"))
    assert found["iterations"] == 6
