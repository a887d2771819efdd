"""A model and its labels are assets of Prefect, with the data that they were made from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client

from emdist.flows.assets import asset_key
from emdist.flows.cluster import cluster
from emdist.flows.label import Labelling, label
from emdist.settings.config import make_config
from emdist.store.places.location import Location
from tests.support.flow_processes import until

pytestmark = pytest.mark.usefixtures("api")

SUCCEEDED = "prefect.asset.materialization.succeeded"


def made(client: SyncPrefectClient, wanted: str) -> set[str] | None:
    """The assets from which the asset `wanted` was made; None if the server knows no such asset."""
    body = {"filter": {"event": {"name": [SUCCEEDED]}}, "limit": 50}
    for event in client.request("POST", "/events/filter", json=body).json()["events"]:
        if event["resource"]["prefect.resource.id"] == wanted:
            related = event["related"]
            return {
                one["prefect.resource.id"]
                for one in related
                if one["prefect.resource.role"] == "asset"
            }
    return None


def test_a_model_and_its_labels_are_assets_made_from_the_data(
    values: dict[str, Any], data: Path, tmp_path: Path
) -> None:
    values["run"]["key"] = "kept"
    result = cluster(make_config(values))
    run = f"file://{result['run']}"
    with get_client(sync_client=True) as client:
        sources = until(lambda: made(client, f"{run}/final"), "the asset of the model")
        assert sources == {f"file://{data}"}
        sources = until(lambda: made(client, f"{run}/labels.zarr"), "the asset of the labels")
        assert sources == {f"{run}/final", f"file://{data}"}
        out = tmp_path / "new labels.zarr"
        label(Labelling(model=result["run"], data={"path": str(data)}, out=str(out)))
        sources = until(
            lambda: made(client, f"file://{tmp_path}/new-labels.zarr"), "the asset of new labels"
        )
        assert sources == {run, f"file://{data}"}


def test_keys_of_assets_are_what_prefect_takes() -> None:
    assert asset_key(Location("s3://bucket/a.zarr")) == "s3://bucket/a.zarr"
    assert asset_key(Location("/data/" + "x" * 600)) is None
