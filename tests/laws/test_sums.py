"""Laws of what a pass adds: sums, surveys, samples and the tree are monoids."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emdist.composition.make import make_survey
from emdist.composition.model import make_model
from emdist.composition.recipe import Recipe
from emdist.fit.sample import Sample, sample_rows
from emdist.fit.survey import Survey
from emdist.interfaces import Array, Block, Floats, Numerics
from emdist.models.params import MixtureParams
from emdist.settings.config import FitSection, ModelSection
from emdist.store.sources.arrays import array_source
from emdist.sums import Sums, Tree, tree_sum
from tests.support.fitting import ALL_FAMILIES, ONE_THREAD, Setting, draw, is_shifted, relative

ROWS = 200
SPLITS = st.lists(st.integers(0, ROWS), min_size=1, max_size=6).map(sorted)
NUMERICS = [Numerics("float64"), Numerics("float64", centred=True), Numerics("float32")]
#: Of a sum of 200 terms, relative to the largest.
ROUNDING = {"float64": 1e-12, "float32": 3e-5}


def pieces(splits: list[int]) -> list[slice]:
    edges = [0, *splits, ROWS]
    return [slice(a, b) for a, b in pairwise(edges) if b > a]


def close(left: Sums, right: Sums, tol: float) -> None:
    assert set(left) == set(right)
    for name in left:
        assert relative(left[name], right[name]) < tol, name


# ---- the E-step


@pytest.mark.covering
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("numerics", NUMERICS, ids=str)
@pytest.mark.parametrize("assignment", ["soft", "hard"])
@pytest.mark.parametrize("name", ALL_FAMILIES)
@settings(max_examples=8, deadline=None)
@given(splits=SPLITS)
def test_the_sums_of_any_split_add_to_those_of_the_whole(
    name: str, assignment: str, numerics: Numerics, weighted: bool, splits: list[int]
) -> None:
    x, components = draw(name, ROWS)
    x = x.astype(numerics.dtype)
    weight = np.random.default_rng(0).exponential(size=ROWS) if weighted else None
    model = make_model(Setting(name, 3, assignment).model_section)
    params = MixtureParams(np.array([0.5, 0.3, 0.2]), components)
    origin = x.mean(axis=0, dtype=np.float64) if is_shifted(name) else np.zeros(2)

    def sums(part: slice) -> Sums:
        block = Block(0, part.start, x[part], None if weight is None else weight[part])
        e_step = model.e_step(block, params, origin, numerics)
        return Sums({**e_step.fields, **model.shared_step(block, origin).fields})

    tol = ROUNDING[numerics.dtype]
    whole, parts = sums(slice(0, ROWS)), [sums(part) for part in pieces(splits)]
    close(tree_sum(parts), whole, tol)
    left, right = parts[0], parts[0]
    for part in parts[1:]:
        left = left + part
    right = parts[-1]
    for part in parts[-2::-1]:
        right = part + right
    close(left, right, 1e-12)
    swapped = parts[-1] + parts[0]
    assert swapped.equals(parts[0] + parts[-1])
    # Two halves of a component's weight are the whole of it.
    total = ROWS if weight is None else weight.sum()
    assert whole["n"].sum() == pytest.approx(total, rel=tol)
    assert whole["weight"] == pytest.approx(total, rel=1e-12)


def test_sums_of_different_tasks_do_not_add() -> None:
    with pytest.raises(ValueError, match="cannot be added"):
        Sums({"n": np.zeros(1)}) + Sums({"t": np.zeros(1)})


# ---- the tree


@settings(max_examples=40, deadline=None)
@given(order=st.integers(1, 70).flatmap(lambda n: st.permutations(range(n))))
def test_the_tree_gives_the_same_bits_in_any_order_of_arrival(order: list[int]) -> None:
    rng = np.random.default_rng(len(order))
    leaves = [Sums({"x": rng.standard_normal(2) * 10.0 ** rng.integers(-9, 9)}) for _ in order]
    tree: Tree[Sums] = Tree(len(order))
    for i in order:
        tree.add(i, leaves[i])
    assert tree.result().equals(tree_sum(leaves))


def test_a_tree_holds_few_nodes_when_leaves_come_in_order() -> None:
    tree: Tree[Sums] = Tree(1000)
    most = 0
    for i in range(1000):
        tree.add(i, Sums({"x": np.ones(1)}))
        most = max(most, tree.pending)
    assert most <= 10
    assert tree.result()["x"] == 1000


@pytest.mark.parametrize("missing", [0, 3, 6])
def test_a_tree_without_all_its_leaves_has_no_result(missing: int) -> None:
    tree: Tree[Sums] = Tree(7)
    for i in set(range(7)) - {missing}:
        tree.add(i, Sums({"x": np.ones(1)}))
    with pytest.raises(ValueError, match="7 leaves were announced"):
        tree.result()


# ---- the survey


def survey_of(x: Array, weight: Floats | None = None, block_bytes: int | None = None) -> Survey:
    source = array_source(x, weight, block_bytes)
    task = make_survey(source, Recipe(ModelSection(n_components=3), FitSection(sample_rows=20)))
    return ONE_THREAD.map_reduce(task, range(len(source)))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("offset", [0.0, 1e6, 1e8])
@pytest.mark.parametrize("rows_per_block", [1, 7, 1000, 100_000])
def test_the_survey_is_numpys_mean_and_variance_at_any_offset(
    rows_per_block: int, offset: float, weighted: bool
) -> None:
    rng = np.random.default_rng(0)
    n = 500 if rows_per_block == 1 else 5000
    x = offset + rng.standard_normal((n, 3)) * [1.0, 0.1, 3.0]
    weight = rng.integers(0, 4, n).astype(float) if weighted else None
    spread = survey_of(x, weight, rows_per_block * 24).spread
    exact = x.astype(np.longdouble)
    w = np.ones(n) if weight is None else weight
    mean = (w[:, None] * exact).sum(axis=0) / w.sum()
    variance = (w[:, None] * (exact - mean) ** 2).sum(axis=0) / w.sum()
    np.testing.assert_allclose(spread.variance, variance.astype(float), rtol=1e-12)
    found = spread.origin + spread.mean
    np.testing.assert_allclose(found, mean.astype(float), rtol=1e-15 * 4, atol=1e-12)
    # The origin is a number of float32 that is near enough to the mean.
    assert (np.abs(spread.mean) <= np.sqrt(spread.variance)).all()
    assert (spread.origin.astype(np.float32) == spread.origin).all()
    heavy = x[w > 0]
    np.testing.assert_array_equal(spread.low, heavy.min(axis=0) - spread.origin)
    np.testing.assert_array_equal(spread.high, heavy.max(axis=0) - spread.origin)
    assert spread.weight == w.sum()


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int16"])
def test_the_survey_of_narrow_types_is_taken_in_float64(dtype: str) -> None:
    x = np.random.default_rng(0).integers(0, 200, (3000, 2)).astype(dtype)
    spread = survey_of(x, None, 1000).spread
    np.testing.assert_allclose(spread.variance, x.astype(np.float64).var(axis=0), rtol=1e-12)


@settings(max_examples=25, deadline=None)
@given(splits=SPLITS, weighted=st.booleans(), seed=st.integers(0, 5))
def test_surveys_of_any_split_add_to_the_whole(
    splits: list[int], weighted: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 3, (ROWS, 2)).astype(np.float64)
    weight = rng.integers(0, 3, ROWS).astype(float) if weighted else np.ones(ROWS)
    parts = []
    for part in pieces(splits):
        source = _Offset(x[part], weight[part], part.start)
        task = make_survey(source, Recipe(ModelSection(n_components=4), FitSection(sample_rows=20)))
        parts.append(task(0))
    merged, whole = tree_sum(parts), survey_of(x, weight)
    assert (merged.rows, merged.masked) == (whole.rows, whole.masked)
    np.testing.assert_allclose(merged.moments.mean, whole.moments.mean, rtol=1e-12)
    np.testing.assert_allclose(merged.moments.m2, whole.moments.m2, rtol=1e-12)
    same_sample(merged.sample, whole.sample)
    assert len(merged.distinct) >= 3
    assert len(whole.distinct) >= 3


class _Offset:
    """One block of a longer source."""

    def __init__(self, x: Array, weight: Floats, start: int) -> None:
        self.block = Block(0, start, x, weight)
        self.shape = x.shape
        self.dtype = x.dtype

    def read(self, i: int) -> Block:
        return self.block


# ---- the sample


def same_sample(left: Sample, right: Sample) -> None:
    for got, wanted in zip(left.rows(), right.rows(), strict=True):
        np.testing.assert_array_equal(got, wanted)


@settings(max_examples=40, deadline=None)
@given(splits=SPLITS, size=st.integers(1, 250), seed=st.integers(0, 3))
def test_samples_of_any_split_hold_the_same_rows(splits: list[int], size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, weight, row = rng.standard_normal((ROWS, 2)), rng.integers(0, 3, ROWS) + 0.0, np.arange(ROWS)
    whole = sample_rows(size + 1, x, weight, row, (seed, 1))
    parts = [sample_rows(size + 1, x[p], weight[p], row[p], (seed, 1)) for p in pieces(splits)]
    same_sample(tree_sum(parts), whole)
    same_sample(tree_sum(parts[::-1]), whole)
    kept, given_weight, index = whole.rows()
    assert len(kept) == min(size, np.count_nonzero(weight))
    assert (weight[index] > 0).all()
    np.testing.assert_array_equal(kept, x[index])
    if len(kept) < size:
        np.testing.assert_array_equal(given_weight, weight[index])


@pytest.mark.parametrize("weighted", [False, True])
def test_a_sample_estimates_sums_without_bias(weighted: bool) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 1)) + 2.0
    weight = rng.exponential(size=300) ** 2 if weighted else None
    w = np.ones(300) if weight is None else weight
    wanted = np.array([w.sum(), w @ x[:, 0], w[100:150].sum()])
    found = []
    for key in range(2000):
        kept, estimate, row = sample_rows(31, x, weight, np.arange(300), (key,)).rows()
        inside = (row >= 100) & (row < 150)
        found.append([estimate.sum(), estimate @ kept[:, 0], estimate[inside].sum()])
    error = np.std(found, axis=0) / np.sqrt(len(found))
    assert (np.abs(np.mean(found, axis=0) - wanted) < 4 * error).all()
    # ... and a bias of 2 % would have been seen.
    assert (error < 0.006 * wanted)[:2].all()
