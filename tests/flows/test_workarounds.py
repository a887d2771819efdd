"""Every workaround of Prefect says why it is there, and the page lists it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.support.paths import ROOT

MODULES = sorted(
    path for path in (ROOT / "emdist/flows/workarounds").glob("*.py") if path.name != "__init__.py"
)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_it_says_what_prefect_does_and_when_it_goes(path: Path) -> None:
    told = ast.get_docstring(ast.parse(path.read_text())) or ""
    for heading in ("\nPrefect: ", "\nIssue: ", "\nGoes when: "):
        assert told.count(heading) == 1
    page = (ROOT / "docs/prefect.md").read_text()
    assert f"| `{path.stem}` |" in page.split("## What Prefect makes necessary")[1]
