"""The examples of docs/stores.md run as they stand."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import pytest

from emdist import KMeans
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "stores.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("i", range(len(EXAMPLES)))
def test_an_example_runs(i: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = EXAMPLES[i].replace("/tmp/emdist-of-fsspec", str(tmp_path / "fs"))
    if "icechunk" in code:
        pytest.importorskip("icechunk")
    exec(compile(code, f"example {i}", "exec"), {})
    if "data.zip" in code:
        assert zipfile.is_zipfile("data.zip")
        assert KMeans(2, random_state=0).fit(tmp_path / "data.zip" / "TEMP").n_features_in_ == 3


def test_there_is_an_example_of_each_kind() -> None:
    shown = "".join(EXAMPLES)
    assert all(name in shown for name in ("ZipStore", "FsspecStore", "icechunk", "polars"))
    assert len(EXAMPLES) == 4
