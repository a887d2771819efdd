"""The report of a run: one page, safe and complete, and the model card beside the model."""

from __future__ import annotations

import json
import re
from contextlib import chdir
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import zarr
from sklearn.datasets import load_iris
from typer.testing import CliRunner

from emdist.cli.application import app
from emdist.errors import NotFoundError
from emdist.jobs.report import report_run
from emdist.store.places.location import Location
from tests.support.command_line import Answer

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


class Elements(HTMLParser):
    """All elements of a page with their attributes, and whether they are nested as they should."""

    VOID = frozenset({"meta", "link", "img", "br", "path", "use"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("report")


def emdist_in(folder: Path, *arguments: object) -> Answer:
    with chdir(folder):
        found = CliRunner().invoke(app, [str(one) for one in arguments], prog_name="emdist")
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    assert found.exit_code == 0, found.stderr
    return Answer(found.exit_code, found.stdout, found.stderr)


@pytest.fixture(scope="module")
def iris(folder: Path) -> Path:
    load_iris(as_frame=True).data.to_csv(folder / "iris.csv", index=False)
    emdist_in(folder, "ingest", "iris.csv", "iris.zarr", "-q")
    return folder


@pytest.fixture(scope="module")
def fitted(iris: Path) -> Path:
    told = emdist_in(iris, "fit", "iris.zarr", "-k", 3, "-m", "full", "--n-init", 3, "--run", "a")
    assert f"emdist report {iris / 'a'}" in told.out
    return iris


@pytest.fixture(scope="module")
def page(fitted: Path) -> str:
    answer = emdist_in(fitted, "report", "a", "-o", "a.html", "--json").lines[-1]
    assert answer["rows"] == 150
    return (fitted / "a.html").read_text(encoding="utf-8")


def test_the_page_is_one_file_without_network(page: str) -> None:
    found = Elements(page).found
    for tag, attributes in found:
        assert tag not in ("link", "iframe", "object", "embed", "base")
        for name in ("src", "href", "xlink:href", "data", "action"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:image/png;base64,")), (tag, value)
    addresses = set(re.findall(r"https?://[^\s\"'<>]+", page))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "url(http" not in page
    (policy,) = (a["content"] for t, a in found if a.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_pictures_have_text_and_tables_have_headers(page: str) -> None:
    found = Elements(page).found
    pictures = [attributes for tag, attributes in found if tag == "svg"]
    assert len(pictures) >= 8
    ids = [a["id"] for _, a in found if "id" in a]
    assert len(ids) == len(set(ids))
    for one in pictures:
        assert one["role"] == "img"
        assert all(name in ids for name in str(one["aria-labelledby"]).split())
    assert page.count("<table>") == page.count("<caption>") == page.count("<thead>")
    assert 'name="viewport"' in page
    assert "prefers-color-scheme:dark" in page
    assert "@media print" in page


def test_the_page_answers_a_colleague(page: str, fitted: Path) -> None:
    assert "k = 3 components" in page
    assert "None does" in page
    assert re.search(r"The closest are \d and \d \(\d\.\d %\)", page)
    assert "petal length (cm), petal width (cm)" in page
    assert "was asked for, and compared with no other" in page
    record = json.loads((fitted / "a/run.json").read_text())
    assert record["data"]["sampled_sha256"] in page
    assert f"emdist fit --repeat {fitted / 'a'}" in page
    assert "n_init: 3" in page


def test_the_command_of_the_page_repeats_the_run(page: str, fitted: Path) -> None:
    (line,) = re.findall(r"<code>emdist (fit --repeat [^<]*)</code>", page)
    assert "identical" in emdist_in(fitted, *line.split()).out


def test_the_same_run_gives_the_same_page(page: str, fitted: Path) -> None:
    emdist_in(fitted, "report", "a", "-o", "b.html", "-q")
    assert (fitted / "b.html").read_text(encoding="utf-8") == page


def test_a_model_card_lies_beside_the_model(page: str, fitted: Path) -> None:
    card = (fitted / "a/model_card.md").read_text(encoding="utf-8")
    assert card.startswith("# Model card: a\n")
    for title in ("## Use", "## Clusters", "## Limits", "## Origin"):
        assert title in card
    assert "| component | share | sepal length (cm) |" in card


def test_a_sweep_is_reported_with_its_models(iris: Path) -> None:
    emdist_in(iris, "sweep", "iris.zarr", "-k", "1..3", "-m", "full", "--run", "s", "-q")
    emdist_in(iris, "report", "s", "-q")
    found = (iris / "s/report.html").read_text(encoding="utf-8")
    assert "k = 2 components" in found
    assert "BIC chose the model full-2 among 3 models with 1 to 3 components." in found
    assert "All models that were compared." in found
    assert "emdist sweep -f config.yaml" in found


def test_standard_errors_are_shown_once_they_are_stored(iris: Path) -> None:
    emdist_in(iris, "fit", "iris.zarr", "-k", 2, "-m", "full", "--run", "u", "-q")
    report_run(Location(str(iris / "u")))
    assert "run emdist uncertainty" in (iris / "u/report.html").read_text()
    emdist_in(iris, "uncertainty", "u", "-q")
    report_run(Location(str(iris / "u")))
    found = (iris / "u/report.html").read_text()
    assert "Parameters with standard errors and intervals of 95%" in found
    assert "run emdist uncertainty" not in found


@pytest.mark.parametrize("model", ["full", "kmeans"])
def test_names_cannot_act(folder: Path, model: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 3)) + np.repeat([[0.0], [6.0]], 40, 0)
    place = folder / f"{model} & <b>"
    place.mkdir()
    names = [EVIL, 'a" onload="alert(3)', "`|<script>`"]
    pd.DataFrame(x, columns=names).to_csv(place / "x.csv", index=False)
    emdist_in(place, "ingest", "x.csv", "x.zarr", "-q")
    emdist_in(place, "fit", "x.zarr", "-k", 2, "-m", model, "--run", "r<script>", "-q")
    emdist_in(place, "report", "r<script>", "-q")
    page = (place / "r<script>/report.html").read_text(encoding="utf-8")
    found = Elements(page).found
    assert [tag for tag, _ in found].count("script") == 1
    assert not any(tag == "img" for tag, _ in found)
    assert not any(name.startswith("on") for _, attributes in found for name in attributes)
    card = (place / "r<script>/model_card.md").read_text(encoding="utf-8")
    # An indented line is code, which Markdown escapes.
    lines = [line for line in card.splitlines() if not line.startswith("    ")]
    assert not any("<script" in line or "<img" in line for line in lines)


def test_a_report_needs_no_rows(iris: Path) -> None:
    emdist_in(iris, "ingest", "iris.csv", "gone.zarr", "-q")
    emdist_in(iris, "fit", "gone.zarr", "-k", 2, "--run", "g", "-q")
    (iris / "gone.zarr").rename(iris / "away.zarr")
    answer = emdist_in(iris, "report", "g", "--json").lines[-1]
    assert answer["rows"] == 0
    assert "could not be read" in answer["unread"]
    found = (iris / "g/report.html").read_text()
    assert "No rows were looked at" in found
    emdist_in(iris, "report", "g", "--data", "away.zarr", "-q")
    assert "No rows were looked at" not in (iris / "g/report.html").read_text()


def test_a_hidden_markov_model_is_reported_with_its_transitions(folder: Path) -> None:
    rng = np.random.default_rng(0)
    states = np.repeat([0, 1, 0, 1], [120, 90, 140, 100])
    zarr.save_array(str(folder / "h.zarr"), rng.normal(size=(450, 3)) + 3.0 * states[:, None])
    (folder / "h.yaml").write_text("data: {path: h.zarr}\nmodel: {name: hmm, n_components: 2}\n")
    emdist_in(folder, "fit", "-f", "h.yaml", "--run", "h", "-q")
    emdist_in(folder, "report", "h", "-q")
    found = (folder / "h/report.html").read_text()
    assert "k = 2 states" in found
    assert "Which state follows which" in found
    assert "could not be read" not in found
    assert "emdist sweep" not in found
    emdist_in(folder, "describe", "h", "-q")


def test_data_that_changed_are_told(iris: Path) -> None:
    emdist_in(iris, "ingest", "iris.csv", "c.zarr", "-q")
    emdist_in(iris, "fit", "c.zarr", "-k", 2, "--run", "c", "-q")
    array: Any = zarr.open_array(str(iris / "c.zarr"), mode="r+")
    array[:] = array[:] + 1.0
    report_run(Location(str(iris / "c")))
    assert "The data have changed since the fit" in (iris / "c/report.html").read_text()


def test_only_finished_runs_have_a_report(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no run in"):
        report_run(Location(str(tmp_path)))
