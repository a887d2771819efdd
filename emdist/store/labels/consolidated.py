"""Consolidated metadata: the metadata of all arrays in that of their group, which is read at once.

Readers such as xarray look for it first, and warn if it is absent.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from emdist.errors import NotFoundError
from emdist.store.labels.place import META_LIMIT
from emdist.store.places.files import open_folder
from emdist.store.places.location import Location


def consolidate(location: Location, arrays: Sequence[str]) -> None:
    """Put the metadata of `arrays`, and of the groups around them, into that of the group."""
    folder = open_folder(location)
    group: dict[str, Any] = json.loads(folder.read("zarr.json", META_LIMIT))
    found = {}
    around = {path.rpartition("/")[0] for path in arrays} - {""}
    for name in (*arrays, *sorted(around)):
        try:
            found[name] = json.loads(folder.read(f"{name}/zarr.json", META_LIMIT))
        except NotFoundError:
            continue  # An array was lost, which whoever reads it will tell.
    group["consolidated_metadata"] = {
        "kind": "inline",
        "must_understand": False,
        "metadata": found,
    }
    folder.write("zarr.json", json.dumps(group, indent=2).encode())
