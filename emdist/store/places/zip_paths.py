"""Paths of ZIP files: finds the ZIP file that a path is, or leads into."""

from __future__ import annotations

from pathlib import Path


def zip_at(url: str) -> tuple[Path, str] | None:
    """Return the ZIP file that a local path is, or leads into, and the rest of the path.

    None for any other path, and for a URL. The name of the file ends in ``.zip``; a folder of such
    a name is a folder.
    """
    if ".zip" not in url.lower() or "://" in url:
        return None
    path = Path(url)
    for one in (path, *path.parents):
        if one.name.lower().endswith(".zip") and one.is_file():
            inner = path.relative_to(one).as_posix()
            return one, "" if inner == "." else inner
    return None
