"""Products of families against one family of all features, and EM by its definition."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
import zarr

from emdist import ProductMixture, load
from emdist.composition.model import make_family
from emdist.errors import ConfigError, DomainError, StartError
from emdist.fit.start import Given
from emdist.interfaces import Array, Floats
from emdist.jobs.label import label_data
from emdist.jobs.run import open_job
from emdist.models.arrays import arrays_of
from emdist.settings.config import ModelSection, make_config
from emdist.store.places.location import Location
from tests.support.fitting import Fitting, Setting, blobs, draw, fit_array, relative

K = 3


def group(family: str, columns: Any, **options: Any) -> dict[str, Any]:
    return {"family": family, "columns": columns, "options": options}


def product(*groups: dict[str, Any], assignment: str = "soft", k: int = K, **fit: Any) -> Setting:
    return Setting("product", k, assignment, options={"groups": list(groups)}, fit=fit)


# ---- parts of one family are that family of all columns

PAIRS = {
    "diagonal": ({}, "variances"),
    "bernoulli": ({}, None),
    "poisson": ({"smoothing": 0.5}, None),
    "binomial": ({"trials": 9}, None),
    "categorical": ({"categories": 4}, "probabilities"),
}


def rows_of(name: str) -> Floats:
    return draw(name, 500, K, 6)[0]


def columns_of(found: Fitting, name: str, what: str) -> Array:
    """An array of both parts, its columns where they belong."""
    parts = [found.arrays[f"parts.{i}.{what}"] for i in range(2)]
    out = np.empty((K, 6, *parts[0].shape[2:]))
    out[:, [0, 2, 5]], out[:, [1, 3, 4]] = parts
    return out


@pytest.mark.parametrize("init", ["random", "kmeans"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("assignment", ["soft", "hard"])
@pytest.mark.parametrize("name", PAIRS)
def test_two_groups_of_one_family_are_one(
    name: str, assignment: str, weighted: bool, init: str
) -> None:
    if assignment == "hard" and init == "random" and name != "diagonal":
        pytest.skip("equal rows tie between components that start alike, and rounding decides")
    options, other = PAIRS[name]
    x = rows_of(name)
    weight = np.random.default_rng(0).exponential(size=len(x)) if weighted else None
    fitting = {"max_iter": 10, "init": init, "tol": 0.0}
    one = fit_array(x, Setting(name, K, assignment, options=options, fit=fitting), None, weight)
    halves = (group(name, [0, 2, 5], **options), group(name, [1, 3, 4], **options))
    two = fit_array(x, product(*halves, assignment=assignment, **fitting), None, weight)
    assert two.iterations == one.iterations
    np.testing.assert_allclose(
        [r.objective for r in two.state.history], [r.objective for r in one.state.history], 1e-12
    )
    assert relative(two.means, one.means) < 1e-12
    if other is not None:
        assert relative(columns_of(two, name, other), one.arrays[other]) < 1e-12
    scores = two.assign(x), one.assign(x)
    np.testing.assert_allclose(scores[0].score, scores[1].score, rtol=1e-12)
    np.testing.assert_array_equal(scores[0].labels, scores[1].labels)


@pytest.mark.parametrize("name", ["full", "tied", "spherical", "isotropic"])
def test_one_group_is_its_family(name: str) -> None:
    x = blobs(500, 3, K, 3.0)[0]
    for numerics in (1.0, 1e-5):  # the second is centred: one blob far narrower than the data
        x[:100] = x[0] + numerics * x[:100]
        one = fit_array(x, Setting(name, K), Given(x[[0, 200, 300]]))
        start = Given(None, np.full(K, 1 / K), _as_parts(one))
        again = fit_array(x, product(group(name, [0, 1, 2]), max_iter=3, tol=0.0), start)
        direct = Given(None, np.full(K, 1 / K), _as_scales(one))
        same = fit_array(x, Setting(name, K, fit={"max_iter": 3, "tol": 0.0}), direct)
        assert again.objective == pytest.approx(same.objective, rel=1e-9)
        assert relative(again.means, same.means) < 1e-9


def _as_scales(found: Fitting) -> dict[str, Array]:
    return {name: value for name, value in found.arrays.items() if name != "weights"}


def _as_parts(found: Fitting) -> dict[str, Array]:
    return {f"parts.0.{name}": value for name, value in _as_scales(found).items()}


# ---- mixed data by the definition


def mixed(n: int = 600, seed: int = 0) -> tuple[Floats, Array, dict[str, Array]]:
    """Two correlated reals, a count, a code: columns 3 and 0, 2, 1."""
    rng = np.random.default_rng(seed)
    truth = {
        "means": np.array([[0.0, 0.0], [3.0, 1.0], [-2.0, 4.0]]),
        "rates": np.array([1.0, 6.0, 14.0]),
        "codes": np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]]),
    }
    z = rng.integers(0, K, n)
    mix = np.array([[1.0, 0.4], [0.0, 0.8]])
    reals = truth["means"][z] + rng.standard_normal((n, 2)) @ mix
    x = np.empty((n, 4))
    x[:, 3], x[:, 0] = reals.T
    x[:, 2] = rng.poisson(truth["rates"][z])
    x[:, 1] = [rng.choice(3, p=truth["codes"][c]) for c in z]
    return x, z, truth


GROUPS = (
    group("full", [3, 0], reg_covar=0.0),
    group("poisson", [2]),
    group("categorical", [1], categories=3),
)


def brute_force(x: Floats, weight: Floats, start: dict[str, Array], rounds: int) -> dict[str, Any]:
    share, means, covariances = np.full(K, 1 / K), start["means"], start["covariances"]
    rates, codes = start["rates"], start["codes"]
    reals, counts, code = x[:, [3, 0]], x[:, 2], x[:, 1].astype(int)
    bounds = []
    for _ in range(rounds):
        score = np.stack(
            [
                np.log(share[k])
                + scipy.stats.multivariate_normal(means[k], covariances[k]).logpdf(reals)
                + scipy.stats.poisson(rates[k]).logpmf(counts)
                + np.log(codes[k][code])
                for k in range(K)
            ],
            axis=1,
        )
        bound = np.logaddexp.reduce(score, axis=1)
        bounds.append(weight @ bound / weight.sum())
        resp = np.exp(score - bound[:, None]) * weight[:, None]
        n = resp.sum(axis=0)
        share, means, rates = n / n.sum(), resp.T @ reals / n[:, None], resp.T @ counts / n
        diffs = [reals - mean for mean in means]
        covariances = np.stack(
            [(resp[:, k, None] * diffs[k]).T @ diffs[k] / n[k] for k in range(K)]
        )
        codes = np.stack([resp[code == c].sum(axis=0) / n for c in range(3)], axis=1)
    found = {"weights": share, "parts.0.means": means, "parts.0.covariances": covariances}
    return found | {
        "parts.1.means": rates[:, None], "parts.2.probabilities": codes[:, None], "bounds": bounds
    }  # fmt: skip


def start_of(truth: dict[str, Array]) -> tuple[dict[str, Array], Given]:
    start = {
        "means": truth["means"] + 0.5,
        "covariances": np.tile(3.0 * np.eye(2), (K, 1, 1)),
        "rates": truth["rates"] + 1.0,
        "codes": 0.5 * truth["codes"] + 0.5 / 3,
    }
    scales = {
        "parts.0.means": start["means"],
        "parts.0.covariances": start["covariances"],
        "parts.1.means": start["rates"][:, None],
        "parts.2.probabilities": start["codes"][:, None],
    }
    return start, Given(None, np.full(K, 1 / K), scales)


@pytest.mark.parametrize("weighted", [False, True])
def test_em_of_mixed_data_by_its_definition(weighted: bool) -> None:
    x, _, truth = mixed()
    weight = np.random.default_rng(1).exponential(size=len(x))
    start, given = start_of(truth)
    wanted = brute_force(x, weight if weighted else np.ones(len(x)), start, 15)
    setting = product(*GROUPS, max_iter=15, tol=0.0)
    found = fit_array(x, setting, given, weight if weighted else None, block_bytes=3000)
    for name, value in found.arrays.items():
        assert relative(value, wanted[name]) < 1e-10, name
    bounds = [r.objective for r in found.state.history]
    np.testing.assert_allclose(bounds, wanted["bounds"], rtol=1e-11)


def test_an_offset_of_the_reals_costs_no_digits() -> None:
    x, _, truth = mixed()
    x[:, [0, 3]] = np.round(x[:, [0, 3]] * 2**20) / 2**20
    _, given = start_of(truth)
    moved = dict(given.scales) | {"parts.0.means": given.scales["parts.0.means"] + 1e6}
    here = fit_array(x, product(*GROUPS), given)
    offset = np.array([1e6, 0, 0, 1e6])
    there = fit_array(x + offset, product(*GROUPS), Given(None, given.weights, moved))
    assert there.fit.origin[[1, 2]].tolist() == [0.0, 0.0]
    assert there.iterations == here.iterations
    assert np.abs(there.means - offset - here.means).max() < 2e-9
    for name in ("weights", "parts.0.covariances", "parts.1.means", "parts.2.probabilities"):
        assert relative(there.arrays[name], here.arrays[name]) < 1e-8, name


def test_narrow_reals_are_centred_and_counts_are_not_touched() -> None:
    x, z, truth = mixed()
    x[z == 0, 3] *= 1e-6
    x[z == 0, 0] *= 1e-6
    start, given = start_of(truth)
    found = fit_array(x, product(*GROUPS, max_iter=12, tol=0.0), given)
    assert found.numerics.centred
    wanted = brute_force(x, np.ones(len(x)), start, 12)
    for name, value in found.arrays.items():
        assert relative(value, wanted[name]) < 1e-9, name


# ---- the estimator


def test_it_finds_what_made_the_data(tmp_path: Path) -> None:
    x, z, truth = mixed(6000)
    model = ProductMixture(K, groups=GROUPS, random_state=0, tol=1e-6).fit(x)
    order = np.argsort(model.parts_[1]["means"].ravel())
    assert relative(model.means_[order][:, [3, 0]], truth["means"]) < 0.05
    assert relative(model.parts_[1]["means"][order].ravel(), truth["rates"]) < 0.05
    assert relative(model.parts_[2]["probabilities"][order][:, 0], truth["codes"]) < 0.1
    right = order[z] == model.predict(x)
    assert right.mean() > 0.9
    free = K * (2 + 3) + K + K * 2 + K - 1
    assert model.bic(x) == pytest.approx(-2 * model.score(x) * len(x) + free * np.log(len(x)))
    rows, labels = model.sample(5000)
    assert set(np.unique(rows[:, 1])) == {0.0, 1.0, 2.0}
    drawn = np.stack([rows[labels == k].mean(axis=0) for k in range(K)])
    assert np.abs(drawn - model.means_).max() < 0.5
    model.save(tmp_path / "m")
    back = load(tmp_path / "m")
    assert isinstance(back, ProductMixture)
    np.testing.assert_array_equal(back.predict_proba(x), model.predict_proba(x))
    assert list(back.groups) == [{**g} for g in GROUPS]
    warm = ProductMixture(K, groups=GROUPS, random_state=0, tol=1e-6, warm_start=True).fit(x)
    assert warm.fit(x).n_iter_ <= 2


@pytest.mark.parametrize("seed", range(4))
def test_the_default_start_does_not_depend_on_units(seed: int) -> None:
    x, _, _ = mixed(1500, seed)
    scale = np.array([1e-3, 1.0, 1.0, 1e4])
    parts = (group("diagonal", [3, 0], reg_covar=0.0), *GROUPS[1:])
    one, other = (
        ProductMixture(K, groups=parts, random_state=0, tol=1e-6).fit(rows)
        for rows in (x, x * scale)
    )
    assert relative(other.means_ / scale, one.means_) < 1e-5


def test_ignored_columns_change_nothing() -> None:
    x, _, _ = mixed()
    wide = np.insert(x, 1, 1e9 * np.random.default_rng(0).standard_normal(len(x)), axis=1)
    groups = [group("full", [4, 0]), group("poisson", [3]), group("categorical", [2], categories=3)]
    plain = [group("full", [3, 0]), group("poisson", [2]), group("categorical", [1], categories=3)]
    start = {"init_params": "random", "random_state": 0}
    found = ProductMixture(K, groups=groups, ignored=[1], **start).fit(wide)
    wanted = ProductMixture(K, groups=plain, **start).fit(x)
    assert found.n_iter_ == wanted.n_iter_
    np.testing.assert_allclose(found.predict_proba(wide), wanted.predict_proba(x), atol=1e-9)
    with pytest.raises(ConfigError, match=r"name feature\(s\) \[1\] never"):
        ProductMixture(K, groups=groups).fit(wide)


@pytest.mark.parametrize(
    ("groups", "why"),
    [
        ([], "groups is empty"),
        ([group("full", [0, 1]), group("full", [1, 2, 3])], r"\[1\] more than once"),
        ([group("full", [0, 1])], r"contain 2 features, but the data have 4"),
        ([group("full", "0:9")], r"name 9 feature\(s\) and the data have 4"),
        ([group("full", "3-4")], "expected a list of indices, or a range as '3:40'"),
        ([group("full", "4:4")], "empty range"),
        ([group("full", [-1, 0, 1, 2])], "all >= 0"),
        ([group("ful", "0:4")], "did you mean 'full'"),
        ([group("product", "0:4")], "is a product itself"),
        ([group("full", "0:4", reg=1)], r"groups\[0\].options.reg is not a known key"),
        (
            [group("full", "0:2"), group("binomial", "2:4", trials=[3, 3, 3])],
            r"groups\[1\] has 2 feature\(s\), but its options have values for 3",
        ),
    ],
)
def test_groups_that_make_no_sense_are_refused(groups: Any, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        ProductMixture(K, groups=groups).fit(mixed()[0])


def test_values_outside_a_parts_domain_are_refused() -> None:
    x, _, _ = mixed()
    x[7, 1] = 3.0
    with pytest.raises(DomainError, match=r"needs codes of categories in 0..2, .*feature 1 ranges"):
        ProductMixture(K, groups=GROUPS).fit(x)
    x[7, 1], x[8, 2] = 0.0, 0.5
    with pytest.raises(DomainError, match=r"needs counts.*feature 2 .*not only whole"):
        ProductMixture(K, groups=GROUPS).fit(x)
    with pytest.raises(StartError, match=r"in feature 2; expected means of counts"):
        ProductMixture(K, groups=GROUPS, means_init=[[0, 0, -1, 0]] * K).fit(mixed()[0])
    with pytest.raises(StartError, match=r"parts\.0\.nothing"):
        fit_array(mixed()[0], product(*GROUPS), Given(scales={"parts.0.nothing": np.ones(3)}))


def test_every_family_can_be_a_part() -> None:
    rng = np.random.default_rng(0)
    z = rng.integers(0, 2, 400)
    real = rng.standard_normal((400, 5)) + 5 * z[:, None]
    count = rng.poisson(2 + 6 * z[:, None], (400, 4))
    x = np.column_stack([real, count, z ^ (rng.random(400) < 0.1)])
    parts = (
        group("tied", [0, 1]), group("spherical", [2, 3]), group("isotropic", [4], variance=1.0),
        group("multinomial", [5, 6]), group("poisson", [7]), group("binomial", [8], trials=40),
        group("bernoulli", [9]),
    )  # fmt: skip
    for assignment in ("soft", "hard"):
        setting = product(*parts, assignment=assignment, k=2, tol=0.0, max_iter=20)
        found = fit_array(x, setting, block_bytes=4000)
        bound = np.diff([r.objective for r in found.state.history])
        assert bound.min() > -1e-5  # reg_covar
        labels = found.assign(x).labels
        assert max((labels == z).mean(), (labels != z).mean()) > 0.99


def test_noise_beside_a_product_of_real_families() -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate([blobs(500, 3, 2, 4.0)[0], rng.uniform(-60, 60, (60, 3))])
    parts = [group("tied", [0, 2]), group("diagonal", [1])]
    setting = Setting("product+noise", 2, options={"groups": parts}, fit={"tol": 1e-6})
    found = fit_array(x, setting)
    labels = found.assign(x).labels
    assert (labels[500:] == -1).mean() > 0.9
    assert (labels[:500] == -1).mean() < 0.05


def test_a_job_of_mixed_data(tmp_path: Path) -> None:
    x, z, _ = mixed(1000)
    array = zarr.create_array(tmp_path / "x.zarr", shape=x.shape, chunks=(300, 4), dtype="f8")
    array[:] = x
    model = {"name": "product", "n_components": K, "options": {"groups": list(GROUPS)}}
    config = make_config(
        {
            "data": {"path": str(tmp_path / "x.zarr")},
            "model": model,
            "run": {"folder": str(tmp_path / "runs"), "key": "one", "checkpoint_iterations": 2},
        }
    )
    with open_job(config) as job:
        job.survey()  # type: ignore[union-attr]
        job.segment()  # type: ignore[union-attr]
    with open_job(config) as job:  # another process would go on like this
        summary = job.complete()  # type: ignore[union-attr]
    assert summary.to_dict()["result"]["status"] == "converged"
    where = Location(str(tmp_path / "runs" / "one"))
    found = label_data(where, config.data, Location(str(tmp_path / "labels.zarr")))
    labels = np.asarray(zarr.open_group(tmp_path / "labels.zarr", mode="r")["labels"])
    assert found["components"] == np.bincount(labels, minlength=K).tolist()
    fitted = load(tmp_path / "runs" / "one")
    assert isinstance(fitted, ProductMixture)
    np.testing.assert_array_equal(fitted.predict(x), labels)
    assert len(z) == len(labels)
    assert "parts.2.probabilities" in arrays_of(fitted._fitted.params.components)


# ---- as a distribution


def test_a_mixed_conditional_by_summation() -> None:
    """p(real | counts, codes): weights from what is observed, moments of a full part shifted."""
    rng = np.random.default_rng(2)
    z = rng.integers(0, 2, 600)
    real = rng.standard_normal((600, 2)) @ [[1.0, 0.7], [0.0, 0.6]] + 4.0 * z[:, None]
    x = np.column_stack([real[:, 0], rng.poisson(2 + 5 * z), real[:, 1], rng.random(600) < 0.3])
    groups = [
        {"columns": [2, 0], "family": "full"},
        {"columns": [1], "family": "poisson"},
        {"columns": [3], "family": "bernoulli"},
    ]
    found = ProductMixture(2, groups=groups, random_state=0).fit(x).distribution()
    given = found.conditional([1, 0], [3.0, 1.5])
    assert given.n_features == 2
    # The product rule at a grid of what is left, which sums to 1.
    grid = np.stack(np.meshgrid(np.linspace(-12, 18, 3001), [0.0, 1.0], indexing="ij"), -1)
    rest = grid.reshape(-1, 2)
    whole = np.column_stack([np.full(len(rest), 1.5), np.full(len(rest), 3.0), rest])
    joint = found.density(whole)
    np.testing.assert_allclose(given.density(rest), joint / (joint.sum() * 0.01), rtol=1e-6)
    np.testing.assert_allclose(
        found.conditional_mean([1, 0], [[3.0, 1.5]])[0], given.mean(), rtol=1e-9
    )
    total = found.covariance().total
    np.testing.assert_allclose(total[1, 1], x[:, 1].var(), rtol=0.05)


def test_a_product_that_ignores_features_has_no_distribution_of_them() -> None:
    x = draw("diagonal", 200, 2, 3)[0]
    groups = [{"columns": [0, 2], "family": "diagonal"}]
    fitted = ProductMixture(2, groups=groups, ignored=[1], random_state=0).fit(x)
    with pytest.raises(ConfigError, match="ignores some features"):
        fitted.distribution().marginal([0])


# ---- groups that are none


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"reg_covar": 50.0}, r"groups\[0\]\.reg_covar is not a known key"),
        ({"optoins": {}}, r"optoins is not a known key \(did you mean 'options'\?\)"),
        ({"columns": [True, 0, 2]}, r"expected indices of features in place of True"),
        (
            {"columns": np.array([True, False, True])},
            r"expected indices of features in place of True",
        ),
        ({"columns": "0:1000000"}, r"columns='0:1000000' names feature 999999, .* data have 3\."),
        ({"columns": "0:1000000000"}, r"columns='0:1000000000'; expected features of the data"),
        ({"columns": "0:" + "9" * 5000}, r"expected features of the data"),
        ({"columns": [0, 1, 10**9]}, r"names feature 1000000000; expected features of the data"),
    ],
)
def test_groups_that_are_none_are_refused_at_once(wrong: dict[str, Any], said: str) -> None:
    one = {"columns": [0, 1, 2], "family": "full", **wrong}
    with pytest.raises(ConfigError, match=said):
        ProductMixture(2, groups=[one], random_state=0).fit(draw("diagonal", 50, 2, 3)[0])


def test_a_configuration_refuses_unknown_keys_of_groups() -> None:
    one = {"columns": "0:3", "family": "full", "optoins": {}}
    section = ModelSection(name="product", options={"groups": [one]})
    with pytest.raises(ConfigError, match=r"model\.options\.groups\[0\]\.optoins .*'options'"):
        make_family(section)
    ignoring = {"groups": [{"columns": "0:2", "family": "full"}], "ignored": [True]}
    with pytest.raises(ConfigError, match=r"model\.options\.ignored: .* in place of True"):
        make_family(ModelSection(name="product", options=ignoring))


def test_scikit_learns_name_of_a_part() -> None:
    """As everywhere else that a family is named."""
    x = np.random.default_rng(0).normal(size=(50, 3))
    plain, other = (
        ProductMixture(2, groups=[{"columns": "0:3", "family": name}], random_state=0).fit(x)
        for name in ("diagonal", "diag")
    )
    assert np.array_equal(plain.means_, other.means_)
