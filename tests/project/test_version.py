"""The version tells commits apart, and asking for it is cheap."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import emdist
from emdist.runtime import version as module
from emdist.runtime.version import _checked_out, version
from tests.support.paths import ROOT

A, B = "a" * 40, "0123456789" * 4


def clone(root: Path, head: str, name: str = "emdist") -> Path:
    """What a clone has, as far as its version goes."""
    (root / ".git").mkdir(parents=True)
    (root / "pyproject.toml").write_text(f'[project]\nname = "{name}"\n')
    (root / ".git/HEAD").write_text(f"{head}\n")
    return root


def test_commits_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = clone(tmp_path, "ref: refs/heads/main")
    branch = root / ".git/refs/heads/main"
    branch.parent.mkdir(parents=True)
    monkeypatch.setattr(module, "__file__", str(root / "emdist/runtime/version.py"))
    monkeypatch.setattr(metadata, "version", lambda name: "0.3.1.dev7+gfedcba987")
    found = []
    for commit in (A, B):
        branch.write_text(f"{commit}\n")
        found.append(version.__wrapped__())
    assert found == ["0.3.1.dev7+gaaaaaaaaa", "0.3.1.dev7+g012345678"]


def test_the_head_of_a_clone_is_found_wherever_git_keeps_it(tmp_path: Path) -> None:
    assert _checked_out(clone(tmp_path / "detached", A)) == A
    packed = clone(tmp_path / "packed", "ref: refs/heads/main")
    lines = f"# pack-refs with: peeled\n{B} refs/heads/other\n{A} refs/heads/main\n^{B}\n"
    (packed / ".git/packed-refs").write_text(lines)
    assert _checked_out(packed) == A
    tree = tmp_path / "tree"
    tree.mkdir()
    shutil.copy(packed / "pyproject.toml", tree)
    own = packed / ".git/worktrees/tree"
    own.mkdir(parents=True)
    (tree / ".git").write_text(f"gitdir: {own}\n")
    (own / "HEAD").write_text("ref: refs/heads/other\n")
    (own / "commondir").write_text("../..\n")
    assert _checked_out(tree) == B


def test_what_is_no_clone_of_emdist_has_the_installed_version(tmp_path: Path) -> None:
    assert _checked_out(tmp_path) is None
    assert _checked_out(clone(tmp_path / "other", A, name="another")) is None
    assert _checked_out(clone(tmp_path / "unborn", "ref: refs/heads/main")) is None
    assert _checked_out(clone(tmp_path / "odd", "neither a commit nor a branch")) is None


def test_a_copy_that_was_never_installed_has_a_version(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", absent)
    monkeypatch.setattr(module, "_checked_out", lambda root: None)
    assert version.__wrapped__() == "0+unknown"


def test_here_it_is_the_commit_that_git_tells() -> None:
    asked = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
    if not shutil.which("git") or (done := subprocess.run(asked, capture_output=True)).returncode:
        pytest.skip("no clone, or no git")
    assert version().endswith("+g" + done.stdout.decode()[:9])


def test_it_is_an_attribute_and_a_valid_version() -> None:
    from packaging.version import Version

    assert emdist.__version__ == version()
    assert "__version__" in dir(emdist)
    assert re.match(r"\d+\.?", str(Version(emdist.__version__)))


def test_importing_emdist_and_asking_its_version_loads_no_library() -> None:
    code = "import sys, emdist; emdist.__version__; print(*(m.split('.')[0] for m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "emdist" in loaded
    heavy = {"numpy", "numba", "zarr", "dask", "sklearn", "scipy", "prefect", "pydantic"}
    assert not loaded & heavy
