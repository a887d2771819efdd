"""The code and the configurations of docs/prepare.md run, and what the page says holds."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from emdist.inputs.plugins import plugins
from emdist.prepare.making import STEPS, make_steps, step_of_text
from emdist.prepare.pca import MOST_EXACT, PcaStep
from emdist.settings.config import make_config
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "prepare.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.M | re.S)


def test_the_code_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    known: dict[str, Any] = {}
    for code in blocks("python"):
        exec(code, known)
    assert known["gm"].means_.shape == (3, 4)
    assert np.array_equal(known["labels"], known["pipeline"].predict(known["X"]))
    assert known["rows"].shape == (4000, 4)


def test_the_configurations_of_the_page_are_accepted() -> None:
    for text in blocks("yaml"):
        make_config({"data": {"path": "x.zarr"}, **yaml.safe_load(text)})
    forms = re.findall(r"`(\{(?:clip|normalise|standardise|pca): .*?\}+)`", PAGE)
    assert len(forms) >= 7
    for form in forms:
        make_steps([yaml.safe_load(form)])
    for text in ("pca=8", "normalise=l1", "clip=0,10", "pca=components:8,whiten:true"):
        assert f"`{text}`" in PAGE
        make_steps([step_of_text(text)])


def test_the_table_of_steps_is_complete() -> None:
    rows = re.findall(r"^\| `(\w+)` \|.*\| (.*) \|$", PAGE, re.M)
    assert {name for name, _ in rows} >= set(plugins(STEPS, "step"))
    for name, cls in plugins(STEPS, "step").items():
        told = dict(rows)[name]
        assert [one.name for one in fields(cls) if f"`{one.name}`" not in told] == [], name


def test_numbers_of_the_page_are_those_of_the_code() -> None:
    assert f"up to {MOST_EXACT:,} features" in PAGE
    assert f"`passes` passes\n({PcaStep().passes} by default)" in PAGE
