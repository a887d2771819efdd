"""Words and commands of the pages are those of the code."""

from __future__ import annotations

import re

import emdist
from emdist.fit.state import Record
from emdist.jobs import inspect
from tests.support.paths import ROOT


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_history_has_the_names_of_both_layers() -> None:
    table = page("docs/models.md").partition("**History.**")[2].partition("For hard models")[0]
    lines = [line.split("|") for line in table.splitlines() if line.startswith("| `")]
    rows = {one[1].strip(" `"): one[2].strip(" `") for one in lines[1:]}
    assert rows == {
        "objective": "objective",
        "updated": "after the M-step",
        "expected": "Q",
        "entropy": "entropy",
        "elbo": "",
        "shift": "shift",
    }
    assert set(rows) - {"elbo"} < set(Record.__dataclass_fields__)
    line = inspect._line(
        Record(0, 1, objective=1.5, change=0.5, shift=2, updated=3.5, expected=4.5, entropy=5.5)
    )
    assert line == (
        "iteration 1: objective 1.5, after the M-step 3.5, Q 4.5, entropy 5.5, shift 2.000e+00"
    )


def test_pages_install_from_the_clone() -> None:
    for name in ("README.md", "docs/running.md", "docs/prefect.md"):
        found = re.findall(r"pip install '(emdist[^']*)'", page(name))
        assert found
        assert all(one.endswith("] @ file:///path/of/this/clone") for one in found), name
    before = page("README.md").partition("pip install")[0]
    assert "git clone " in before
    assert "python3 -m venv .venv && . .venv/bin/activate" in before


def test_shell_completion_is_on_a_page() -> None:
    assert "emdist completion bash >> ~/.bashrc" in page("docs/running.md")


def test_the_page_says_which_models_have_labels() -> None:
    assert "`labels_` are a result of models with centres only" in page("docs/fitted.md")
    for name in emdist.__all__:
        cls = getattr(emdist, name)
        if hasattr(cls, "get_params") and name != "Sweep":
            assert hasattr(cls, "labels_") == (name[0] == "K" or "KMeans" in name), name
