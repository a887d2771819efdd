"""Prefect's assets: which data a model was fitted to, and which labels were made with it."""

# Annotations are not postponed: Prefect cannot resolve them in a flow that it loads from its file.
import re
from collections.abc import Callable
from typing import Any

from prefect import Task, task
from prefect.assets import Asset, materialize
from prefect.assets.core import AssetProperties
from prefect.cache_policies import NO_CACHE

from emdist.store.places.location import Location

#: The length that Prefect allows for the key of an asset.
_LONGEST = 512


def stage(
    work: Callable[[], dict[str, Any]],
    made: Location | None = None,
    what: str = "",
    sources: tuple[Location, ...] = (),
) -> Task[[], dict[str, Any]]:
    """Return `work` as a task that always runs and stores no result.

    Parameters
    ----------
    work
        The work, whose name is that of the task.
    made
        What it makes: an asset of Prefect, by its path or URL. None for nothing to be kept.
    what
        What `made` is, as a text.
    sources
        What `made` depends on: the data, or a model.
    """
    # The default cache policy would take the second segment for the first. Results of tasks are
    # pickles that are not written atomically, so the checkpoints hold the state instead.
    options: dict[str, Any] = {"cache_policy": NO_CACHE, "persist_result": False}
    options["name"] = work.__name__
    key = None if made is None else asset_key(made)
    if made is None or key is None:
        return task(**options)(work)
    known: list[str | Asset] = [
        Asset(key=k) for one in sources if (k := asset_key(one)) is not None
    ]
    asset = Asset(key=key, properties=AssetProperties(name=f"{what} {made.name}", description=what))
    found: Task[[], dict[str, Any]] = materialize(asset, by="emdist", asset_deps=known, **options)(
        work
    )
    return found


def asset_key(place: Location) -> str | None:
    """Return the key of an asset at a path or URL; None if Prefect takes no such key.

    Characters that Prefect does not allow become ``-``.
    """
    text = str(place)
    whole = f"file://{text}" if place.is_local else text
    found = re.sub(r"[^\w./:@+~=,-]", "-", whole, flags=re.ASCII)
    return found if len(found) <= _LONGEST and re.match("[a-z0-9]+://", found) else None
