"""The version of emdist, as installed; in a clone, with the commit that is checked out."""

from __future__ import annotations

import re
from functools import cache
from importlib import metadata
from pathlib import Path

#: The version of a copy that was never installed: a folder on PYTHONPATH.
_NEVER_INSTALLED = "0+unknown"
_COMMIT = re.compile(r"[0-9a-f]{40,64}")


@cache
def version() -> str:
    """Return the version, such as "0.2.0".

    Seven commits after version 0.2.0, it is "0.2.1.dev7+g5b07b4478", with the commit after the "g".
    An installed package has the version with which it was built. An editable installation of a
    clone keeps changing, so there the part after "+" is the commit that is checked out now.
    """
    try:
        installed = metadata.version("emdist")
    except metadata.PackageNotFoundError:
        installed = _NEVER_INSTALLED
    commit = _checked_out(Path(__file__).resolve().parents[2])
    return installed if commit is None else f"{installed.partition('+')[0]}+g{commit[:9]}"


def _checked_out(root: Path) -> str | None:
    """Return the commit at HEAD if `root` is a clone of emdist, else None.

    It reads files, because git may not be installed.
    """
    try:
        if 'name = "emdist"' not in (root / "pyproject.toml").read_text(encoding="utf-8"):
            return None
        git = root / ".git"
        if git.is_file():  # In an additional work tree, .git is a file with the path.
            git = root / git.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
        head = (git / "HEAD").read_text(encoding="utf-8").strip()
        if not head.startswith("ref:"):
            return head if _COMMIT.fullmatch(head) else None
        common = git / "commondir"
        shared = git / common.read_text(encoding="utf-8").strip() if common.exists() else git
        return _commit_of(head.removeprefix("ref:").strip(), shared)
    except (OSError, ValueError):
        return None


def _commit_of(name: str, git: Path) -> str | None:
    """Return the commit of the branch `name`, from its own file or from a line in packed-refs."""
    loose, packed = git / name, git / "packed-refs"
    if loose.exists():
        found = loose.read_text(encoding="utf-8").strip()
        return found if _COMMIT.fullmatch(found) else None
    for line in packed.read_text(encoding="utf-8").splitlines():
        commit, _, ref = line.partition(" ")
        if ref == name and _COMMIT.fullmatch(commit):
            return commit
    return None
