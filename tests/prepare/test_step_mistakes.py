"""Mistakes in steps, and data that a step cannot prepare: what users are told, in each layer."""

from __future__ import annotations

import gc
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from typer.testing import CliRunner

import emdist.prepare
from emdist import GaussianMixture, KMeans
from emdist.cli.application import app
from emdist.errors import DegenerateWarning, EmdistError

X = np.random.default_rng(0).normal(size=(200, 4))

#: Steps in Python and in YAML, the same on the command line if that can say them, and the message.
MISTAKES: dict[str, tuple[Any, list[str] | None, str]] = {
    "by variable after pca": (
        [{"pca": 3}, {"standardise": {"by": "variable"}}],
        ["pca=3", "standardise=variable"],
        "prepare[1].standardise: by variable cannot follow pca, whose components mix the "
        "variables. Put standardise before pca, or leave out the option by.",
    ),
    "too many components": (
        [{"pca": 9}],
        ["pca=9"],
        "pca asks for 9 components of 4 features; expected at most 4.",
    ),
    "logarithms of centred rows": (
        ["standardise", "log1p"],
        ["standardise", "log1p"],
        "Put log1p before steps that subtract a mean, leave it out, or correct the data.",
    ),
    "a sum as a norm": (
        [{"normalise": 10}],
        ["normalise=10"],
        "got 10. For rows of this sum, write {'normalise': {'total': 10}}.",
    ),
    "one limit": (
        [{"clip": 3}],
        ["clip=3"],
        "as in {'clip': [0, 3]}, or one of them by its name, as in {'clip': {'high': 3}}.",
    ),
    "a pair": ([["pca", 3]], None, "got ['pca', 3]. Write {'pca': 3}."),
}


@pytest.mark.parametrize("layer", ["Python", "configuration", "command"])
@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_in_every_layer(mistake: str, layer: str, tmp_path: Path) -> None:
    steps, options, told = MISTAKES[mistake]
    if layer == "Python":
        with pytest.raises(EmdistError) as found:
            KMeans(2, random_state=0, prepare=steps).fit(X)
        assert told in str(found.value)
        return
    zarr.create_array(tmp_path / "x.zarr", data=X, chunks=(100, 4))
    run = ["-k", "2", "--run", str(tmp_path / "run"), "-q"]
    if layer == "configuration":
        config = tmp_path / "c.yaml"
        config.write_text(f"data: {{path: {tmp_path / 'x.zarr'}}}\nprepare: {steps}\n")
        arguments = ["fit", "-f", str(config), *run]
    elif options is None:
        return
    else:
        flags = [word for one in options for word in ("--prepare", one)]
        arguments = ["fit", str(tmp_path / "x.zarr"), *run, *flags]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code in (2, 3)
    assert told in result.stderr


def test_other_objects_are_told_what_to_pass() -> None:
    from sklearn.preprocessing import StandardScaler

    for step, told in (
        (StandardScaler(), r"Use emdist\.prepare\.StandardScaler"),
        (emdist.prepare.PCA, r"Pass an object, as PCA\(\)"),
    ):
        with pytest.raises(EmdistError, match=told):
            KMeans(2, prepare=[step]).fit(X)
    with pytest.raises(EmdistError, match=r"such as \[standardise\], got 'standardise'"):
        KMeans(2, prepare="standardise").fit(X)  # type: ignore[arg-type]


@pytest.mark.parametrize("spread", [0.0, 1e-300, 1e-320])
def test_a_feature_without_spread_is_told_and_kept_finite(spread: float) -> None:
    x = X.copy()
    x[:, 1] = x[:, 1] * spread
    with pytest.warns(DegenerateWarning, match="the feature x1 has the same value .* rounding"):
        found = KMeans(2, random_state=0, prepare=["standardise"]).fit(x)
    assert np.isfinite(found.cluster_centers_).all()
    x[:, 1] = X[:, 1] * 1e-12
    found = KMeans(2, random_state=0, prepare=["standardise"]).fit(x)
    assert np.allclose(found.preparation_.learned[0]["scale"][1], X[:, 1].std() * 1e-12, rtol=1e-9)


def test_squares_that_overflow_are_one_error_and_no_warnings() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(EmdistError, match="squares of feature 1 overflow"):
            KMeans(2, prepare=["standardise"]).fit(X * [1, 1e200, 1, 1])


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        (["normalise"], "or leave out the step normalise, which needs complete rows."),
        ([{"pca": 2}], "or give pca the option missing: pairwise."),
    ],
)
def test_the_steps_that_need_complete_rows_are_named(steps: Any, told: str) -> None:
    x = np.where(X > 2, np.nan, X)
    with pytest.raises(EmdistError, match=told):
        GaussianMixture(2, prepare=steps, non_finite="missing").fit(x)


def test_the_temporary_file_of_a_query_is_closed() -> None:
    pl = pytest.importorskip("polars")
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always", ResourceWarning)
        model = KMeans(2, random_state=0, prepare=["standardise"]).fit(pl.DataFrame(X).lazy())
        model.predict(pl.DataFrame(X).lazy())
        del model
        gc.collect()
    assert [str(one.message) for one in seen if "unclosed" in str(one.message)] == []
