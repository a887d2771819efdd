"""What was found out about a model later, stored with its run as JSON, such as ``profile.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from emdist.errors import CheckpointError, NotFoundError
from emdist.store.places.files import open_folder
from emdist.store.places.location import Location
from emdist.store.runs.model_files import read_model
from emdist.store.runs.sealed import MANIFEST_LIMIT


def store_answer(run: Location, name: str, found: Mapping[str, Any]) -> None:
    """Store what was found about the model of a run in its file `name`, with the model's digest."""
    told = {**found, "model": read_model(run).sha256}
    open_folder(run).write(name, (json.dumps(told) + "\n").encode())


def stored_answer(run: Location, name: str) -> dict[str, Any] | None:
    """Return what the file `name` of a run holds; None if there is none, or of another model."""
    try:
        found = json.loads(open_folder(run).read(name, MANIFEST_LIMIT))
        if found.pop("model", None) != read_model(run).sha256:
            return None
    except (NotFoundError, CheckpointError, ValueError, AttributeError, RecursionError):
        return None
    return dict(found)
