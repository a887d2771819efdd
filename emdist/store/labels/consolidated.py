"""Consolidated metadata: the metadata of all arrays in that of their group, which is read at once.

Readers such as xarray look for it first, and warn if it is absent.
"""

from __future__ import annotations

import json
from typing import Any

from emdist.errors import NotFoundError
from emdist.store.labels.place import MARK, META_LIMIT, companions_in, layout_of
from emdist.store.places.files import open_folder
from emdist.store.places.location import Location


def consolidate(location: Location) -> None:
    """Put the metadata of all arrays into that of the group, in one write."""
    folder = open_folder(location)
    group: dict[str, Any] = json.loads(folder.read("zarr.json", META_LIMIT))
    mark = group["attributes"][MARK]
    layout, _ = layout_of(mark, location)
    parts = layout.progress.split("/")
    paths = ["/".join(parts[: i + 1]) for i in range(len(parts))]
    found = {}
    for name in (*mark["outputs"], *companions_in(mark), *paths):
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
