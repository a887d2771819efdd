"""Laws of pruned K-means: Lloyd's bits, whatever it left out and whatever was forgotten."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from distributed import Client
from hypothesis import given, settings
from hypothesis import strategies as st

from emdist import KMeans
from emdist.engines.dask.engine import DaskEngine
from emdist.engines.threads import LocalEngine
from emdist.errors import ConfigError
from emdist.fit.events import Event, Pruning
from emdist.fit.loop import iterate
from emdist.fit.movements import Track, group_sizes
from emdist.fit.start import Given
from emdist.fit.state import FitState, Status
from emdist.interfaces import Array, Block, Engine, Floats, Numerics, Source
from emdist.kernels.tiles.exact import count, grid, inertia, move, square
from emdist.kernels.vector.lloyd import nearest_sums
from emdist.runtime.cache import MEMO
from emdist.store.sources.arrays import ArraySource, array_source
from tests.support.fitting import (
    ONE_THREAD,
    Fitting,
    Setting,
    blobs,
    prepare,
    run,
    same_bits,
)


@dataclass(frozen=True)
class Streamed:
    """Rows that have to be read block by block, as those of a Zarr array."""

    inner: ArraySource

    @property
    def shape(self) -> tuple[int, int]:
        return self.inner.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.inner.dtype

    @property
    def bounds(self) -> tuple[int, ...]:
        return self.inner.bounds

    def __len__(self) -> int:
        return len(self.inner)

    def read(self, i: int) -> Block:
        return self.inner.read(i)

    def fingerprint(self) -> Any:
        return self.inner.fingerprint()


def streamed(x: Array, weight: Floats | None = None, blocks: int = 5, **options: Any) -> Streamed:
    bytes_ = -(-len(x) // blocks) * (x.nbytes // len(x))
    return Streamed(array_source(x, weight, bytes_, **options))


def lloyd(
    source: Source,
    k: int,
    start: Array,
    schedule: str = "pruned",
    engine: Engine = ONE_THREAD,
    options: dict[str, Any] | None = None,
    listen: Callable[[Event], None] | None = None,
    precision: str = "auto",
    **fit: Any,
) -> Fitting:
    chosen = {"schedule": schedule, "schedule_options": options or {}, "tol": 0.0, **fit}
    setting = Setting("kmeans", k, precision=precision, fit=chosen)
    made = prepare(source, setting, Given(np.asarray(start, np.float64)), engine)
    return run(made if listen is None else replace(made, listen=listen))


def labels(found: Fitting, source: Source) -> Array:
    x = np.concatenate([source.read(i).valid()[0] for i in range(len(source))])
    return found.assign(x, found.numerics).labels


def assert_lloyds(found: Fitting, wanted: Fitting, source: Source) -> None:
    """Fail unless `found` went the way of `wanted`, which batch Lloyd went.

    Batch sums are rounded and those of pruned passes are not, so centres differ by that rounding.
    """
    assert found.iterations == wanted.iterations
    assert found.status is wanted.status
    scale = max(float(np.abs(wanted.means).max()), 1e-300)
    assert np.abs(found.means - wanted.means).max() <= 1e-13 * scale
    np.testing.assert_array_equal(labels(found, source), labels(wanted, source))
    for a, b in zip(found.state.history, wanted.state.history, strict=True):
        assert (a.reseeded, a.dropped) == (b.reseeded, b.dropped)


# ---- against batch Lloyd, and against itself without any memory

KINDS = ["blobs", "grid", "duplicates", "offset", "huge", "tiny", "outlier", "bits", "line"]


def rows_of(kind: str, n: int, d: int, rng: np.random.Generator) -> Floats:
    x = rng.standard_normal((n, d)) + 3.0 * rng.integers(0, 3, (n, 1))
    if kind == "grid":
        return np.rint(2.0 * x)
    if kind == "duplicates":
        return x[rng.integers(0, max(1, n // 20), n)]
    if kind == "bits":
        return np.asarray(x > 0, np.float64)
    if kind == "outlier":
        x[0] = 1e5
    if kind == "line":
        x[:] = np.linspace(-1.0, 1.0, n)[:, None]
    return x * {"huge": 1e12, "tiny": 1e-9}.get(kind, 1.0) + (1e6 if kind == "offset" else 0.0)


@pytest.mark.long
@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    seed=st.integers(0, 10**6),
    n=st.integers(1, 400),
    d=st.sampled_from([1, 2, 5, 36]),
    k=st.sampled_from([1, 2, 3, 9, 20]),
    dtype=st.sampled_from(["float32", "float64", "int16"]),
    weighted=st.booleans(),
    policy=st.sampled_from(["reseed", "regularise", "drop"]),
    memo=st.sampled_from([0, 20_000, 1 << 30]),
    resident=st.booleans(),
)
def test_it_is_lloyd_on_any_rows(
    kind: str, seed: int, n: int, d: int, k: int, dtype: str, weighted: bool, policy: str,
    memo: int, resident: bool,
) -> None:  # fmt: skip
    rng = np.random.default_rng(seed)
    x = rows_of(kind, n, d, rng)
    x = np.rint(np.clip(x, -3e4, 3e4)).astype(dtype) if dtype == "int16" else x.astype(dtype)
    weight = None
    if weighted:
        weight = rng.exponential(size=n) * (rng.random(n) < 0.8)
        weight[0] = 1.0
    blocks = min(4, n)
    k = min(k, len(np.unique(x if weight is None else x[weight > 0], axis=0)))
    source: Source = streamed(x, weight, blocks)
    start = x[rng.choice(n, k, replace=False)]
    common: dict[str, Any] = {"on_collapse": policy, "max_iter": 25}
    plain = lloyd(source, k, start, options={"memo_bytes": 0}, **common)
    other = source.inner if resident and isinstance(source, Streamed) else source
    found = lloyd(other, k, start, options={"memo_bytes": memo}, **common)
    same_bits(found, plain)
    np.testing.assert_array_equal(labels(found, source), labels(plain, source))
    wanted = lloyd(source, k, start, "batch", **common)
    if _is_decided(x, wanted, start):
        assert_lloyds(found, wanted, source)
    spread = float(np.square(np.asarray(x, np.float64) - found.fit.origin).sum(axis=1).max())
    for a, b in zip(found.state.history[:1], wanted.state.history[:1], strict=True):
        total = float(found.fit.survey.spread.weight)
        assert abs(a.objective - b.objective) <= 1e-12 * b.objective + 1e-15 * total * spread


def _is_decided(x: Array, found: Fitting, start: Array) -> bool:
    """Whether no row was ever so near to the middle of two centres that rounding had its way.

    Nor did centres ever move by rounding alone: those of exact sums stand still then, and stop.
    """
    rows = np.asarray(x, np.float64) - found.fit.origin
    gap = 1e-5 * float(np.square(rows).sum(axis=1).max())
    means = np.asarray(start, np.float64) - found.fit.origin
    for state in iterate(found.fit, FitState(0)):
        between = np.square(rows[:, None] - means).sum(axis=2)
        two = np.partition(between, 1, axis=1)[:, :2] if len(means) > 1 else [[0.0, np.inf]]
        if np.diff(two, axis=1).min() <= gap:
            return False
        if 0 < state.history[-1].shift <= 1e-14 * np.abs(means).max():
            return False
        means = state.params.components.means
    return True


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("apart", [0.7, 3.0])
def test_it_goes_the_way_of_batch_lloyd(dtype: str, apart: float) -> None:
    x, _ = blobs(6000, 6, 12, apart, dtype=dtype)
    source = streamed(x)
    wanted = lloyd(source, 12, x[:12], "batch")
    for options in ({}, {"memo_bytes": 300_000}, {"groups": 1}):
        found = lloyd(source, 12, x[:12], options=options)
        assert_lloyds(found, wanted, source)
        for a, b in zip(found.state.history, wanted.state.history, strict=True):
            assert a.objective == pytest.approx(b.objective, rel=1e-12)
            assert a.updated == pytest.approx(b.updated, rel=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_rows_that_rounding_decides_are_never_safe(seed: int) -> None:
    # Scores of 1e6 in float32 err by more than rows near the middle of two centres differ.
    rng = np.random.default_rng(seed)
    x = np.stack([rng.choice([-1e3, 1e3], 6000), rng.uniform(-1.0, 1.0, 6000)], axis=1)
    x = np.concatenate([x, rng.uniform(-1.0, 1.0, (6000, 2)) * [1.0, 40.0]]).astype("float32")
    start = [[-1e3, -0.4], [-1e3, 0.1], [1e3, -0.1], [1e3, 0.4], [0, -30], [0, 5], [0, 9], [0, 20]]
    common: dict[str, Any] = {"precision": "float32", "max_iter": 60}
    found, plain = (
        lloyd(streamed(x), 8, np.array(start), options={"memo_bytes": m}, **common)
        for m in (1 << 30, 0)
    )
    same_bits(found, plain)
    assert found.iterations > 15


def test_batch_lloyd_of_float32_has_the_same_bits() -> None:
    # The digits of so many float32 values of one size add up without rounding in batch as well.
    x, _ = blobs(3000, 4, 6, 1.0, dtype="float32")
    source = streamed(x)
    found, wanted = (lloyd(source, 6, x[:6], s) for s in ("pruned", "batch"))
    np.testing.assert_array_equal(found.means, wanted.means)


def test_the_best_of_several_starts_is_that_of_batch_lloyd() -> None:
    x, _ = blobs(900, 2, 5, 4.0, dtype="float32")
    chosen = {"n_init": 4, "tol": 0.0, "init": "random"}
    found, wanted = (
        run(prepare(streamed(x), Setting("kmeans", 5, fit={**chosen, "schedule": s})))
        for s in ("pruned", "batch")
    )
    assert found.state.best.restart == wanted.state.best.restart
    assert found.objective == wanted.objective
    np.testing.assert_allclose(found.means, wanted.means, rtol=1e-13)


@pytest.mark.long
def test_rows_left_out_stay_out() -> None:
    x, _ = blobs(2000, 3, 4, 2.0)
    x[::7] = np.nan
    source = streamed(x, non_finite="drop")
    start = x[1:5]
    found, wanted = (lloyd(source, 4, start, s) for s in ("pruned", "batch"))
    assert_lloyds(found, wanted, source)


# ---- what it leaves out


class Told(list[Pruning]):
    """The passes of a fit."""

    def __call__(self, event: Event) -> None:
        if isinstance(event, Pruning):
            self.append(event)

    @property
    def read(self) -> float:
        return sum(e.read / e.blocks for e in self)

    @property
    def scored(self) -> float:
        return sum(e.scored / e.rows for e in self)


@pytest.mark.parametrize(("apart", "part"), [(4.0, 0.2), (0.8, 0.5)])
def test_it_reads_a_part_of_what_it_iterates(apart: float, part: float) -> None:
    x, _ = blobs(20000, 8, 16, apart, seed=3, dtype="float32")
    told = Told()
    source = streamed(x)
    found = lloyd(source, 16, x[:16], listen=told, options={"memo_bytes": 1_400_000})
    assert found.status is Status.UNCHANGED
    assert len(told) == found.iterations >= 20
    assert told.read <= part * found.iterations
    assert told[0].read == len(source)


def test_reads_are_told_as_they_are() -> None:
    x, _ = blobs(6000, 3, 8, 1.0)
    reads: list[int] = []

    @dataclass(frozen=True)
    class Counted(Streamed):
        def read(self, i: int) -> Block:
            reads.append(i)
            return self.inner.read(i)

    source = Counted(streamed(x).inner)
    setting = Setting("kmeans", 8, fit={"schedule": "pruned", "tol": 0.0})
    fit = prepare(source, setting, Given(x[:8]))
    reads.clear()
    told = Told()
    run(replace(fit, listen=told))
    assert len(reads) == sum(e.read for e in told) < len(told) * len(source)


def test_memory_stays_within_the_budget() -> None:
    x, _ = blobs(20000, 4, 8, 1.0)
    for budget in (0, 100_000, 700_000, 10**7):
        MEMO.forget()
        most = [0]

        def listen(event: Event, most: list[int] = most) -> None:
            most[0] = max(most[0], MEMO.nbytes)

        lloyd(streamed(x), 8, x[:8], listen=listen, options={"memo_bytes": budget})
        assert most[0] <= budget
        assert bool(most[0]) == (budget > 0)
        assert MEMO.nbytes == 0


# ---- whatever is forgotten


def test_a_memo_that_is_lost_in_any_pass_changes_no_bit() -> None:
    x, _ = blobs(4000, 4, 9, 1.0)
    for source in (streamed(x), streamed(x).inner):
        wanted = lloyd(source, 9, x[:9])
        rng = np.random.default_rng(0)

        def lose(event: Event, rng: np.random.Generator = rng) -> None:
            keys = list(MEMO._entries)
            for key in keys:
                if rng.random() < 0.01:
                    MEMO._drop(key)
                elif rng.random() < 0.01:
                    MEMO._entries[key].now = -1  # As if it had been cut off half way.

        found = lloyd(source, 9, x[:9], listen=lose)
        same_bits(found, wanted)


def test_a_fit_may_go_back_and_on() -> None:
    x, _ = blobs(3000, 4, 9, 1.0)
    setting = Setting("kmeans", 9, fit={"schedule": "pruned", "tol": 0.0})
    fit = prepare(streamed(x), setting, Given(x[:9]))
    states = list(iterate(fit, FitState(0)))
    for i in (len(states) - 3, 2, 7):
        again = list(iterate(fit, states[i]))
        assert repr(again[-1].history) == repr(states[-1].history)
        np.testing.assert_array_equal(
            again[-1].params.components.means, states[-1].params.components.means
        )


@dataclass(frozen=True)
class Twice:
    """An engine that runs every task twice at a time, and the one before once more."""

    def map_reduce(self, task: Any, blocks: Any, done: Any = None) -> Any:
        late = getattr(_EARLIER, "task", None)
        with ThreadPoolExecutor(3) as pool:
            for i in blocks:
                extra = [pool.submit(task, i), pool.submit(task, i)]
                if late is not None:
                    extra.append(pool.submit(late, i))
                for future in extra:
                    future.result()
        if type(task).__name__ == "PrunedStep":
            _EARLIER.task = task
        return ONE_THREAD.map_reduce(task, blocks, done)


class _Earlier:
    task: Any = None


_EARLIER = _Earlier()


def test_a_task_may_run_twice_and_late() -> None:
    x, _ = blobs(3000, 4, 9, 1.0)
    for source in (streamed(x), streamed(x).inner):
        _EARLIER.task = None
        same_bits(
            lloyd(source, 9, x[:9], engine=Twice()), lloyd(source, 9, x[:9])
        )  # fmt: skip


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with Client(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None
    ) as client:
        yield client


def test_engines_agree(client: Client) -> None:
    x, _ = blobs(4000, 4, 9, 1.0)
    wanted = lloyd(streamed(x), 9, x[:9])
    same_bits(lloyd(streamed(x), 9, x[:9], engine=LocalEngine(3)), wanted)
    same_bits(lloyd(streamed(x), 9, x[:9], engine=DaskEngine(client)), wanted)


@pytest.mark.slow
def test_workers_that_die_change_no_bit() -> None:
    x, _ = blobs(4000, 4, 9, 1.0, dtype="float32")
    wanted = lloyd(streamed(x).inner, 9, x[:9])
    with Client(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as client:
        seen: list[Pruning] = []

        def kill(event: Event) -> None:
            if isinstance(event, Pruning):
                seen.append(event)
                if len(seen) == 4:
                    victim = sorted(client.scheduler_info()["workers"])[0]
                    client.run(_die, workers=[victim], on_error="ignore")

        found = lloyd(streamed(x).inner, 9, x[:9], engine=DaskEngine(client), listen=kill)
    same_bits(found, wanted)
    # Blocks whose memo died with its process were scored anew, the others were not.
    assert 0 < seen[1].scored < seen[0].scored


def _die() -> None:
    import os

    os._exit(1)


# ---- its parts


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 60),
    scale=st.sampled_from([1e-9, 1.0, 1e12]),
    weighted=st.booleans(),
)
def test_sums_forget_the_rows_that_were_taken_out(
    seed: int, n: int, scale: float, weighted: bool
) -> None:
    rng = np.random.default_rng(seed)
    x = scale * rng.standard_normal((n, 3)) * 10.0 ** rng.integers(-6, 1, (n, 1))
    w = rng.exponential(size=n) if weighted else np.ones(n)
    reach = np.append(np.abs(x).max(axis=0), 1.0)
    rounders = np.array(grid(reach * w.sum(), n).rounders)

    def sums(order: Array, labels: Array) -> tuple[Floats, Floats]:
        n_, t_ = np.zeros((2, 2)), np.zeros((2, 2, 3))
        for i in order:
            count(labels[i], w[i], 1.0, rounders, n_)
            move(x[i], w[i], -1, labels[i], rounders, t_)
        return n_, t_

    final = rng.integers(0, 2, n)
    direct = sums(np.arange(n), final)
    found = sums(rng.permutation(n), 1 - final)
    for i in rng.permutation(n):
        for c, sign in ((final[i], 1.0), (1 - final[i], -1.0)):
            count(c, w[i], sign, rounders, found[0])
        move(x[i], w[i], 1 - final[i], final[i], rounders, found[1])
    for a, b in zip(found, direct, strict=True):
        np.testing.assert_array_equal(a, b)
    wanted = np.array([[np.sum((w[:, None] * x)[final == c], axis=0)] for c in range(2)])[:, 0]
    got = direct[1][0] + direct[1][1]
    assert np.abs(got - wanted).max() <= 1e-15 * n * reach[:3].max() * w.max()


def test_inertia_from_sums_keeps_its_digits() -> None:
    rng = np.random.default_rng(0)
    x = 1e4 + rng.standard_normal((1000, 3))
    rounders = np.array(grid(np.append(np.abs(x).max(axis=0), 1.0) * len(x), len(x)).rounders)
    n, t, norm = np.zeros((2, 1)), np.zeros((2, 1, 3)), np.zeros((2, 1))
    for row in x:
        count(0, 1.0, 1.0, rounders, n)
        move(row, 1.0, -1, 0, rounders, t)
        square(row, 1.0, norm)
    for mean in (x.mean(axis=0), x.mean(axis=0) + 1.0):
        wanted = nearest_sums(x, np.zeros(3), 2 * mean[None], np.zeros(1), mean[None], None)[2]
        assert inertia(mean[None], n, t, norm) == pytest.approx(wanted, rel=1e-13)


@pytest.mark.parametrize("k", [1, 2, 3, 4, 7, 8, 31, 64, 1000])
@pytest.mark.parametrize("groups", [1, 2, 4, 16])
def test_groups_cover_all_centres(k: int, groups: int) -> None:
    sizes = group_sizes(k, groups)
    assert sizes.sum() == k
    assert (sizes > 0).all()


def test_the_table_bounds_every_movement() -> None:
    rng = np.random.default_rng(1)
    k, track = 9, Track()
    means, seen = 10 * rng.standard_normal((k, 3)), []
    for now in range(30):
        means = means + rng.standard_normal((k, 3)) * rng.choice([0.0, 0.01, 1.0], (k, 1))
        drift = track.follow(means, Numerics("float64"), 2)
        seen.append((means, drift.order))
        assert drift.now == now
        assert np.isposinf(drift.table[:, -1]).all()
        for age in range(drift.table.shape[1] - 1):
            then, order = seen[now - age]
            moved = np.sqrt(np.square(means - then).sum(axis=1))
            parts = np.split(order, np.cumsum(drift.sizes)[:-1])
            for c in range(k):
                for q, part in enumerate(parts):
                    others = moved[part[part != c]]
                    assert drift.table[q, age, c] >= moved[c] + others.max(initial=0.0)


def test_what_is_no_kmeans_is_refused() -> None:
    for name, more in (("kmedians", {}), ("kmeans", {"missing": True}), ("full", {})):
        setting = Setting(name, 2, fit={"schedule": "pruned"}, **more)
        with pytest.raises(ConfigError, match="pruned"):
            prepare(streamed(blobs(50, 2, 2)[0]), setting)


@pytest.mark.long
def test_the_estimator_prunes_where_it_is_asked() -> None:
    x, _ = blobs(800, 3, 4, 2.0)
    start = x[:4]
    plain = KMeans(4, init=start, tol=0).fit(x)
    for options in ({"algorithm": "elkan"}, {"schedule": "pruned"}):
        found = KMeans(4, init=start, tol=0, **options).fit(x)
        np.testing.assert_allclose(found.cluster_centers_, plain.cluster_centers_, rtol=1e-13)
        np.testing.assert_array_equal(found.labels_, plain.labels_)
        assert found.n_iter_ == plain.n_iter_
    with pytest.raises(ConfigError, match="Give only one"):
        KMeans(4, algorithm="elkan", schedule="minibatch").fit(x)
    with pytest.raises(ConfigError, match="algorithm"):
        KMeans(4, algorithm="full").fit(x)
