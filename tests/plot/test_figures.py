"""Figures: what they show, for which models, and what they refuse."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot
from sklearn.datasets import load_digits, load_iris

import emdist
from emdist import GaussianHMM, GaussianMixture, KMeans, Sweep
from emdist.errors import ConfigError, DegenerateWarning, ShapeError
from emdist.plot.chart import charts
from emdist.plot.findings import Findings
from emdist.plot.planes import discriminant_plane
from emdist.plot.svg import to_svg

IRIS = load_iris(as_frame=True).data
NAMES = list(IRIS.columns)


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    mpl.use("agg")
    yield
    pyplot.close("all")


@pytest.fixture(scope="module")
def mixture() -> GaussianMixture:
    return GaussianMixture(3, random_state=0, n_init=5).fit(IRIS)


@pytest.fixture(scope="module")
def findings(mixture: GaussianMixture) -> Findings:
    return mixture._findings("scatter", IRIS, None, 0)


DRAWN_FOR_MIXTURES = (
    "convergence", "density", "overlap", "profiles", "scatter", "silhouettes", "sizes",
    "uncertainty",
)  # fmt: skip


@pytest.mark.parametrize("kind", DRAWN_FOR_MIXTURES)
def test_a_mixture_is_drawn(mixture: GaussianMixture, findings: Findings, kind: str) -> None:
    axes = mixture.plot(kind, IRIS)
    axes.figure.canvas.draw()
    drawn = to_svg(findings, kind)
    assert drawn.markup.startswith("<svg")
    assert 'role="img"' in drawn.markup
    assert len(drawn.text) > 20


def test_a_figure_draws_on_axes_that_are_given(mixture: GaussianMixture) -> None:
    _, axes = pyplot.subplots()
    assert mixture.plot("sizes", ax=axes) is axes
    assert [round(bar.get_height(), 6) for bar in axes.patches] == sorted(
        (round(100 * w, 6) for w in mixture.weights_), reverse=True
    )


def test_convergence_shows_the_history(mixture: GaussianMixture) -> None:
    axes = mixture.plot("convergence", terms=True)
    lines = {line.get_label(): line.get_ydata() for line in axes.lines}
    own = [r for r in mixture.history_ if r.restart == mixture._fitted.restart]
    np.testing.assert_allclose(lines["objective"], [r.objective for r in own])
    total = np.asarray(lines["Q"]) + np.asarray(lines["entropy"])
    np.testing.assert_allclose(total, lines["objective"], rtol=1e-9)


def test_profiles_have_the_means_in_the_units_of_the_data(mixture: GaussianMixture) -> None:
    axes = mixture.plot("profiles")
    shown = [text.get_text() for text in axes.texts]
    assert sorted(shown) == sorted(f"{m:.4g}" for m in mixture.means_.ravel())
    assert [label.get_text() for label in axes.get_yticklabels()] == NAMES


def test_means_are_those_of_the_data_if_the_model_prepares_rows() -> None:
    x = IRIS.to_numpy()
    plain = KMeans(3, random_state=0).fit(x)
    scaled = KMeans(3, random_state=0, prepare=["standardise"]).fit(x)
    labels = scaled.predict(x)
    shown = scaled._findings("profiles", x, None, 0).means
    np.testing.assert_allclose(shown, [x[labels == i].mean(axis=0) for i in range(3)], rtol=1e-6)
    assert shown.shape == plain.cluster_centers_.shape


def test_scatter_chooses_features_by_name_and_number(mixture: GaussianMixture) -> None:
    a = mixture.plot("scatter", IRIS, features=[NAMES[1], 3])
    assert (a.get_xlabel(), a.get_ylabel()) == (NAMES[1], NAMES[3])
    points = np.asarray(a.collections[0].get_offsets())
    np.testing.assert_array_equal(points, IRIS[[NAMES[1], NAMES[3]]])
    assert len(a.patches) == 3
    best = mixture.plot("scatter", IRIS)
    assert {best.get_xlabel(), best.get_ylabel()} == {"petal length (cm)", "petal width (cm)"}


def test_ellipses_are_those_of_the_covariances(mixture: GaussianMixture) -> None:
    axes = mixture.plot("scatter", IRIS, features=[2, 3])
    for ellipse, mean, covariance in zip(
        axes.patches, mixture.means_, mixture.covariances_, strict=True
    ):
        np.testing.assert_allclose(ellipse.center, mean[2:], rtol=1e-9)
        value = np.linalg.eigvalsh(covariance[2:, 2:])
        np.testing.assert_allclose(
            (ellipse.width, ellipse.height), 4 * np.sqrt(value[::-1]), rtol=1e-6
        )


def test_discriminants_separate_better_than_any_feature(findings: Findings) -> None:
    rows = findings.rows
    assert rows is not None
    plane = discriminant_plane(rows, 3)

    def ratio(x: Any) -> float:
        own = [x[rows.labels == i] for i in range(3)]
        within = sum(((one - one.mean()) ** 2).sum() for one in own)
        return float(((x - x.mean()) ** 2).sum() / within)

    assert ratio(plane.points[:, 0]) > max(ratio(rows.x[:, j]) for j in range(4))


def test_a_sample_does_not_depend_on_blocks(mixture: GaussianMixture) -> None:
    many = np.tile(IRIS.to_numpy(), (40, 1))
    model = GaussianMixture(3, random_state=0).fit(many)
    small = GaussianMixture(3, random_state=0, block_size="16 KiB").fit(many)
    a, b = (one._findings("scatter", many, 200, 7).rows for one in (model, small))
    assert a is not None
    assert b is not None
    assert len(a) == 200
    assert b.n_blocks > a.n_blocks
    np.testing.assert_array_equal(a.row, b.row)
    assert "a random sample of 200 of 6,000 rows" in a.told


def test_the_criterion_of_a_sweep_marks_what_is_in_doubt() -> None:
    rng = np.random.default_rng(0)
    x = np.vstack([rng.normal(size=(60, 2)), np.full((40, 2), 5.0)])
    grid = {"n_components": [1, 2]}
    with (
        pytest.warns(DegenerateWarning, match="variance floor"),
        pytest.warns(UserWarning, match="largest that was tried"),
    ):
        sweep = Sweep(GaussianMixture(random_state=0), grid, allow_degenerate=True).fit(x)
    axes = sweep.plot()
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert any("on the variance floor" in label for label in labels)
    assert any("at the edge of what was tried" in label for label in labels)
    line = axes.lines[0]
    np.testing.assert_array_equal(line.get_xdata(), [1, 2])
    np.testing.assert_allclose(line.get_ydata(), sweep.results_["bic"])
    np.testing.assert_allclose(
        sweep.plot(criterion="aic").lines[0].get_ydata(), sweep.results_["aic"]
    )
    assert sweep.plot("sizes").get_xlabel().startswith("component")


def test_images_are_the_means() -> None:
    digits = load_digits().data
    model = KMeans(4, random_state=0).fit(digits)
    sheet = np.asarray(model.plot("images", digits).images[0].get_array())
    first = int(np.argmax(np.bincount(model.predict(digits))))
    np.testing.assert_allclose(sheet[:8, :8], model.cluster_centers_[first].reshape(8, 8))
    with pytest.raises(ConfigError, match="12 pixels; expected 64"):
        model.plot("images", shape=(3, 4))


def test_labels_of_an_image_are_drawn_as_it_is() -> None:
    image = np.zeros((6, 9, 3))
    image[:, 4:] = 200.0
    model = KMeans(2, random_state=0).fit(image.reshape(-1, 3))
    axes = model.plot("label_map", image.reshape(-1, 3), shape=(6, 9))
    shown = np.asarray(axes.images[0].get_array())
    assert shown.shape == (6, 9)
    assert len(np.unique(shown[:, :4])) == len(np.unique(shown[:, 4:])) == 1
    with pytest.raises(ShapeError, match="54 rows"):
        model.plot("label_map", image.reshape(-1, 3), shape=(6, 8))


def test_labels_on_a_grid_rise_with_its_latitudes() -> None:
    xr = pytest.importorskip("xarray")
    grid = xr.DataArray(
        np.arange(24.0).reshape(4, 6),
        dims=("lat", "lon"),
        coords={"lat": [-30, -10, 10, 30], "lon": np.arange(6)},
        name="t",
    )
    rows = emdist.rows(grid.to_dataset(), variables="t", samples=["lat", "lon"])
    model = KMeans(2, random_state=0).fit(rows)
    axes = model.plot("label_map", rows)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("lon", "lat")
    assert axes.images[0].origin == "lower"


def test_flow_counts_the_rows_of_both_models(mixture: GaussianMixture) -> None:
    other = KMeans(4, random_state=0).fit(IRIS)
    with_model = mixture._findings("flow", IRIS, None, 0)
    axes = mixture.plot("flow", IRIS, other=other)
    assert len(axes.patches) == 3 + 4
    heights = sorted(round(bar.get_height(), 6) for bar in axes.patches[:3])
    counts = np.bincount(mixture.predict(IRIS))
    assert heights == sorted(round(100 * n / 150, 6) for n in counts)
    assert len(mixture.plot("flow", IRIS, other=other.predict(IRIS)).patches) == 7
    assert with_model.other is None
    with pytest.raises(ShapeError, match="a whole number for each row"):
        mixture.plot("flow", IRIS, other=np.zeros(4))


def test_a_hidden_markov_model_shows_its_transitions_and_states() -> None:
    rng = np.random.default_rng(3)
    states = np.repeat([0, 1, 0, 1, 0], [80, 60, 90, 70, 50])
    x = rng.normal(size=(350, 2)) + 3.0 * states[:, None]
    model = GaussianHMM(2, random_state=0, block_size="1 KiB").fit(x)
    shown = np.asarray(model.plot().images[0].get_array())
    np.testing.assert_allclose(shown[0], model.startprob_)
    np.testing.assert_allclose(shown[2:], model.transmat_)
    rows = model._findings("scatter", x, None, 0).rows
    assert rows is None or len(rows) == 350
    for kind in ("scatter", "density", "profiles", "sizes", "uncertainty", "convergence"):
        model.plot(kind, x).figure.canvas.draw()
    with pytest.raises(ConfigError, match="Pass other= the labels"):
        model.plot("flow", x, other=model)


def test_the_states_of_drawn_rows_come_from_their_sequences() -> None:
    rng = np.random.default_rng(4)
    states = np.repeat([0, 1, 0, 1], [80, 70, 90, 60])
    x = rng.normal(size=(300, 1)) + 2.0 * states[:, None]
    model = GaussianHMM(2, random_state=0, block_size="1 KiB").fit(x)
    rows = model._findings("scatter", x, 100, 0).rows
    assert rows is not None
    assert rows.n_blocks > 1
    np.testing.assert_array_equal(rows.labels, model.predict(x)[rows.row])
    np.testing.assert_allclose(rows.resp, model.predict_proba(x)[rows.row], atol=1e-6)


def test_what_cannot_be_drawn_is_refused(mixture: GaussianMixture) -> None:
    with pytest.raises(ConfigError, match="Rows come after it"):
        mixture.plot(np.ones((3, 2)))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="did you mean 'scatter'"):
        mixture.plot("scater")
    with pytest.raises(ConfigError, match=r"needs rows\. Pass X"):
        mixture.plot("scatter")
    with pytest.raises(ConfigError, match="only a sweep"):
        mixture.plot("criterion")
    with pytest.raises(ConfigError, match="no feature 'petal'"):
        mixture.plot("scatter", IRIS, features=["petal", 1])
    with pytest.raises(ConfigError, match="no feature 9"):
        mixture.plot("density", IRIS, features=[9])
    with pytest.raises(ConfigError, match="unexpected keyword argument 'colour'"):
        mixture.plot("sizes", colour="red")
    with pytest.raises(ConfigError, match="only a hidden Markov model"):
        mixture.plot("transitions")


def test_figures_have_no_mathematics_from_names() -> None:
    x = np.column_stack([IRIS.to_numpy()[:, 0], IRIS.to_numpy()[:, 2]])
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(x, columns=["$\\alpha$ <script>", "cost in $"])
    model = GaussianMixture(2, random_state=0).fit(frame)
    drawn = to_svg(model._findings("scatter", frame, None, 0), "scatter")
    assert "<script>" not in drawn.markup
    assert "$\\alpha$ &lt;script&gt;" in drawn.markup


def test_the_same_findings_give_the_same_bytes(findings: Findings) -> None:
    assert to_svg(findings, "scatter") == to_svg(findings, "scatter")


def test_ids_of_a_page_are_unique(findings: Findings) -> None:
    page = "".join(
        to_svg(findings, kind, **options).markup
        for kind, options in (
            ("scatter", {}), ("scatter", {"plane": "pca"}), ("scatter", {"plane": "discriminant"}),
            ("density", {}), ("sizes", {}), ("silhouettes", {}),
        )
    )  # fmt: skip
    found = re.findall(r' id="([^"]*)"', page)
    assert len(found) == len(set(found))


def test_every_figure_has_a_page_of_documentation() -> None:
    text = emdist.GaussianMixture.plot.__doc__ or ""
    for kind in charts():
        assert f"'{kind}'" in text
