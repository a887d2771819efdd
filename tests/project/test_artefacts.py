"""What goes into the wheel: the same with git and without it."""

from __future__ import annotations

import pytest

from tools import artefacts


@pytest.mark.long
def test_without_git_the_same_modules_are_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    if not artefacts.has_git():
        pytest.skip("there is no clone here to compare with")
    known = {
        name for name in artefacts.tracked() if name.startswith(("emdist/", "flows/", "docs/"))
    }
    monkeypatch.setattr(artefacts, "has_git", lambda: False)
    found = {
        name for name in artefacts.tracked() if name.startswith(("emdist/", "flows/", "docs/"))
    }
    assert found == known
    assert "emdist/store/runs/run_folder.py" in found
