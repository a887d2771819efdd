"""Laws of schedules: they end where batch EM ends, never lose ground, resume, and run anywhere."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from distributed import Client

from emdist.composition.recipe import Recipe
from emdist.engines.dask.engine import DaskEngine
from emdist.engines.threads import LocalEngine
from emdist.errors import CheckpointError, CollapseError, ConfigError
from emdist.fit.block_groups import groups
from emdist.fit.events import Event, Progress, Warned
from emdist.fit.loop import iterate
from emdist.fit.schedules.incremental import Records
from emdist.fit.start import Given
from emdist.fit.state import FitState, Status
from emdist.inputs.plugins import plugins
from emdist.interfaces import Array, Floats, Source
from emdist.runtime.cache import MEMO, Cache, Key
from emdist.settings.config import SCHEDULES
from emdist.store.runs.codec import decode
from emdist.store.sources.arrays import array_source
from tests.laws.test_collapse import assert_sound
from tests.laws.test_resume import bits, stored
from tests.support.fitting import (
    ONE_THREAD,
    Fitting,
    Setting,
    agree,
    blobs,
    draw,
    exact_options,
    fit_array,
    given_of,
    is_shifted,
    lost_start,
    prepare,
    relative,
    run,
    same_bits,
    trace,
    wide,
)

ALL = sorted(plugins(SCHEDULES, "schedule"))
MODELS = ["kmeans", "full", "tied", "diagonal", "bernoulli", "poisson"]
BLOCKS = 7
ROWS = 700

#: Options under which a schedule's laws say more: few groups, early freezing.
OPTIONS: dict[str, dict[str, Any]] = {
    "incremental": {"groups": 3},
    "stepwise": {"groups": 3},
    "minibatch": {"groups": 3},
    "sparse": {"full_every": 5, "threshold": 1e-3},
}


def setting_of(
    schedule: str, name: str, k: int = 4, assignment: str = "soft", **fit: Any
) -> Setting:
    options = {} if name == "kmeans" else exact_options(name)
    fitting = {"schedule": schedule, "schedule_options": OPTIONS.get(schedule, {}), "max_iter": 400}
    return Setting(name, k, assignment, options=options, fit={**fitting, **fit})


def serves(schedule: str, name: str, assignment: str = "soft") -> bool:
    setting = setting_of(schedule, name, assignment=assignment)
    try:
        Recipe(setting.model_section, setting.fit_section).checked()
    except ConfigError:
        return False
    return True


PAIRS = [(s, m) for s in ALL for m in MODELS if serves(s, m)]


def data_for(name: str, n: int = ROWS, k: int = 4, seed: int = 1) -> tuple[Array, Given]:
    """Rows of `k` components that overlap a little, and a start near them."""
    if name == "kmeans" or is_shifted(name):
        x, centres = blobs(n, 3, k, 6.0 if name == "kmeans" else 3.0, seed)
        return x, Given(centres + 0.7)
    x, components = draw(name, n, k, wide(name, 3) // 2, seed)
    return x, given_of(components)


def source_of(x: Array, weight: Array | None = None, blocks: int = BLOCKS) -> Source:
    found = array_source(x, weight, -(-len(x) // blocks) * (x.nbytes // len(x)))
    assert len(found) == blocks
    return found


def fitted(schedule: str, name: str, weight: Array | None = None, **fit: Any) -> Fitting:
    x, start = data_for(name)
    return run(prepare(source_of(x, weight), setting_of(schedule, name, **fit), start))


def weights_for(n: int = ROWS) -> Floats:
    return np.random.default_rng(5).exponential(size=n)


# ---- where they end


@pytest.mark.covering
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("schedule", "name"), PAIRS)
def test_it_ends_at_the_fixed_point_of_batch_em(schedule: str, name: str, weighted: bool) -> None:
    weight = weights_for() if weighted else None
    tol = 0.0 if name == "kmeans" else 1e-11
    found = fitted(schedule, name, weight, tol=tol)
    wanted = fitted("batch", name, weight, tol=tol)
    assert found.status in (Status.CONVERGED, Status.UNCHANGED, Status.SETTLED)
    assert abs(found.objective - wanted.objective) <= 1e-8 * max(1.0, abs(wanted.objective))
    x, _ = data_for(name)
    fit = prepare(source_of(x, weight), setting_of("batch", name, max_iter=1))
    again = run(fit, FitState(0, params=found.state.best.params))
    for what, value in found.arrays.items():
        assert relative(again.arrays[what], value) < 1e-4, what


@pytest.mark.parametrize("schedule", ALL)
@pytest.mark.parametrize("name", ["kmeans", "full"])
def test_rows_that_do_not_count_change_nothing(schedule: str, name: str) -> None:
    if not serves(schedule, name):
        return
    x, start = data_for(name)
    third = x.nbytes // BLOCKS + 1
    keep = array_source(x, None, third)
    # A block of NaN, dropped, and a block without weight: neither has anything to say.
    rows = keep.bounds[1]
    nothing = np.full((rows, x.shape[1]), np.nan)
    far = np.full((rows, x.shape[1]), 50.0)
    longer = np.concatenate([nothing, x, far])
    weight = np.concatenate([np.ones(len(x) + rows), np.zeros(rows)])
    source = array_source(longer, weight, third, "drop")
    options = {"schedule_options": {**OPTIONS.get(schedule, {}), "groups": 50}}
    fit = options if schedule in ("incremental", "stepwise", "minibatch") else {}
    tol = 0.0 if name == "kmeans" else 1e-10
    found = run(prepare(source, setting_of(schedule, name, tol=tol, **fit), start))
    wanted = run(prepare(keep, setting_of("batch", name, tol=tol), start))
    assert relative(found.means, wanted.means) < 1e-4
    assert found.objective == pytest.approx(wanted.objective, rel=1e-8)


@pytest.mark.parametrize(("schedule", "name"), PAIRS)
def test_one_block_is_enough(schedule: str, name: str) -> None:
    x, start = data_for(name, 200)
    found = run(prepare(array_source(x), setting_of(schedule, name, tol=1e-4), start))
    assert_sound(found)
    assert found.status is not Status.MAX_ITER


@pytest.mark.parametrize("name", MODELS)
def test_one_group_is_batch_em_to_the_bit(name: str) -> None:
    x, start = data_for(name)
    for source, groups_ in ((array_source(x), None), (source_of(x), 1)):
        options = {"schedule_options": {"groups": groups_}}
        found = run(prepare(source, setting_of("incremental", name, **options), start))
        same_bits(found, run(prepare(source, setting_of("batch", name), start)))


# ---- what never falls

MONOTONE = [s for s in ALL if s not in ("stepwise", "minibatch")]


@pytest.mark.covering
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("schedule", MONOTONE)
@pytest.mark.parametrize("name", MODELS)
def test_the_bound_never_falls(schedule: str, name: str, seed: int, weighted: bool) -> None:
    if not serves(schedule, name):
        return
    k = 8 if schedule == "sparse" else 4
    x, _ = data_for(name, k=k, seed=seed)
    x = x.astype(np.float64)
    start = Given(x[:k] if name == "kmeans" or is_shifted(name) else 0.5 * (x[:k] + x.mean(axis=0)))
    weight = weights_for() if weighted else None
    warned: list[Event] = []
    setting = setting_of(schedule, name, k, max_iter=40, tol=0.0)
    fit = replace(prepare(source_of(x, weight), setting, start), listen=warned.append)
    found = run(fit)
    kept = [r for r in found.state.history if not r.rejected]
    bound = np.array([r.objective for r in kept])
    updated = np.array([r.updated for r in kept])
    if name == "kmeans":
        bound, updated = -bound, -updated
    dust = 1e-11 * max(1.0, float(np.abs(bound).max()))
    assert len(bound) > 3
    assert (np.diff(bound) > -dust).all()
    assert (updated >= bound - dust).all()
    assert (bound[1:] >= updated[:-1] - dust).all()
    assert not [event for event in warned if isinstance(event, Warned)]


@pytest.mark.parametrize("schedule", ["incremental", "sparse"])
def test_the_bound_is_below_the_likelihood(schedule: str) -> None:
    x, _ = blobs(ROWS, 3, 8, 3.0, 2)
    source = source_of(x)
    states = list(trace(prepare(source, setting_of(schedule, "diagonal", 8, max_iter=12, tol=0.0))))
    partial = 0
    for state, after in pairwise(states):
        # The likelihood of the parameters that entered the last E-step is at least the bound,
        # and that of the parameters that followed is at least what the M-step made of it.
        fit = prepare(source, setting_of("batch", "diagonal", 8, max_iter=1))
        likelihood = run(fit, FitState(0, params=state.params)).state.history[0].objective
        assert likelihood >= state.history[-1].updated - 1e-12
        partial += after.history[-1].objective < likelihood - 1e-9 or schedule == "incremental"
    assert partial


def test_a_squarem_trial_that_falls_is_given_up() -> None:
    x, _ = blobs(2000, 4, 6, 1.2, 3)
    start = Given(x[:6])
    found = fit_array(x, setting_of("squarem", "diagonal", 6, tol=1e-7), start)
    history = found.state.history
    given_up = [i for i, r in enumerate(history) if r.rejected]
    assert given_up
    assert np.isnan([history[i].updated for i in given_up]).all()
    for i in given_up[:-1]:
        assert history[i].change < 0
        # Plain EM's parameters take over: at least what its M-step was sure of.
        assert history[i + 1].objective >= history[i - 1].updated - 1e-12
    assert not history[-1].rejected


@pytest.mark.long
def test_it_takes_fewer_passes() -> None:
    passes = dict.fromkeys(["batch", "incremental", "squarem"], 0)
    for name, k, d, apart in [("full", 8, 4, 2.5), ("tied", 5, 3, 1.5), ("diagonal", 4, 2, 2.0)]:
        x, _ = blobs(1600, d, k, apart, 3)
        start, source = Given(x[:k]), source_of(x, blocks=10)
        likelihood = 0.0
        for schedule in passes:
            setting = setting_of(schedule, name, k, tol=1e-6, schedule_options={})
            found = run(prepare(source, setting, start))
            likelihood = likelihood or found.objective - 1e-4
            done = [r.iteration for r in found.state.history if r.objective >= likelihood]
            passes[schedule] += done[0]
    assert passes["incremental"] < 0.65 * passes["batch"]
    assert passes["squarem"] < 0.55 * passes["batch"]


# ---- the same bits


@pytest.mark.covering
@pytest.mark.parametrize(("schedule", "name"), PAIRS)
def test_a_fit_resumed_from_any_state_has_the_same_bits(schedule: str, name: str) -> None:
    x, _ = data_for(name, k=6)
    setting = setting_of(schedule, name, 6, n_init=2, max_iter=9, tol=1e-9)
    source = source_of(x)
    states = list(trace(prepare(source, setting)))
    types = Recipe(setting.model_section, setting.fit_section).types
    for state in [FitState(0), *states[::3], states[-1]]:
        MEMO.forget()
        again = stored(state, FitState, types)
        assert bits(again) == bits(state)
        rest = list(iterate(prepare(source, setting), again))
        assert bits((rest or [again])[-1]) == bits(states[-1])


@pytest.fixture(scope="module")
def dask_engine() -> Iterator[DaskEngine]:
    with Client(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None
    ) as client:
        yield DaskEngine(client)


@pytest.mark.parametrize("schedule", ALL)
def test_every_engine_gives_the_same_bits(schedule: str, dask_engine: DaskEngine) -> None:
    name = "diagonal" if serves(schedule, "diagonal") else "kmeans"
    x, _ = data_for(name, k=6)
    setting = setting_of(schedule, name, 6, max_iter=8)
    one, two, three = (
        run(prepare(source_of(x), setting, engine=engine))
        for engine in (ONE_THREAD, LocalEngine(3), dask_engine)
    )
    same_bits(two, one)
    same_bits(three, one)


@pytest.mark.parametrize("schedule", ["squarem", "sparse"])
def test_the_chunking_does_not_matter(schedule: str) -> None:
    x, start = data_for("diagonal")
    setting = setting_of(schedule, "diagonal", tol=1e-5)
    found = [run(prepare(source_of(x, blocks=b), setting, start)) for b in (1, 7, 20)]
    # An extrapolation divides by differences of sums, which are rounded.
    for other in found[1:]:
        agree(other, found[0], 1e-10 if schedule == "sparse" else 1e-7)


# ---- against plain NumPy


@dataclass
class ByHand:
    """Incremental EM of diagonal Gaussians with responsibilities in memory."""

    x: Floats
    w: Floats
    means: Floats
    variances: Floats
    weights: Floats

    def joint(self) -> Floats:
        z = np.square(self.x[:, None] - self.means) / self.variances
        half = np.log(2 * np.pi * self.variances).sum(axis=1)
        return np.asarray(np.log(self.weights) - 0.5 * (z.sum(axis=2) + half))

    def resp(self) -> Floats:
        joint = self.joint()
        p = np.exp(joint - joint.max(axis=1, keepdims=True))
        return np.asarray(p / p.sum(axis=1, keepdims=True))

    def bound(self, r: Floats) -> float:
        inside = np.where(r > 0, r * (self.joint() - np.log(np.maximum(r, 1e-300))), 0.0)
        return float(self.w @ inside.sum(axis=1) / self.w.sum())

    def maximise(self, r: Floats) -> None:
        r = r * self.w[:, None]
        n = r.sum(axis=0)
        self.weights, self.means = n / n.sum(), r.T @ self.x / n[:, None]
        self.variances = r.T @ np.square(self.x) / n[:, None] - np.square(self.means)


def test_incremental_em_is_that_of_plain_numpy() -> None:
    x, centres = blobs(350, 2, 3, 1.5, 4)
    weight = weights_for(350)
    scales = {"variances": np.full((3, 2), 2.0)}
    start = Given(centres, np.array([0.2, 0.3, 0.5]), scales)
    source = source_of(x, weight)
    setting = setting_of("incremental", "diagonal", 3, max_iter=6, tol=0.0)
    states = list(trace(prepare(source, setting, start)))
    hand = ByHand(x, weight, centres, scales["variances"], np.array([0.2, 0.3, 0.5]))
    of_row = np.searchsorted(np.array(source.bounds[1:]), np.arange(350), side="right")
    r = hand.resp()
    for i, state in enumerate(states):
        parts = groups(len(source), 3) if i else (range(len(source)),)
        for part in parts:
            mine = np.isin(of_row, list(part))
            r[mine] = hand.resp()[mine]
            bound = hand.bound(r)
            hand.maximise(r)
        assert state.history[-1].objective == pytest.approx(bound, abs=1e-10)
        assert state.history[-1].updated == pytest.approx(hand.bound(r), abs=1e-10)
        fit = prepare(source, setting, start)
        found = fit.model.translate(state.params, fit.origin)
        assert relative(found.components.means, hand.means) < 1e-10
        assert relative(found.components.variances, hand.variances) < 1e-10
        assert relative(found.weights, hand.weights) < 1e-10


def sequence(seed: int, restart: int, iteration: int, parts: tuple[range, ...]) -> list[range]:
    """The order of the groups in a sweep."""
    order = np.random.default_rng([seed, restart, iteration, 11]).permutation(len(parts))
    return [parts[g] for g in order]


def rows_of(source: Source, blocks: range) -> Array:
    return np.concatenate([np.arange(source.bounds[b], source.bounds[b + 1]) for b in blocks])


def test_minibatch_is_that_of_plain_numpy() -> None:
    x, _ = blobs(ROWS, 2, 4, 2.0, 6)
    weight, source = weights_for(), source_of(x, weights_for())
    options = {"schedule_options": {"passes": 3, "groups": 4}}
    setting = setting_of("minibatch", "kmeans", 4, max_iter=3, **options)
    states = list(trace(prepare(source, setting, Given(x[:4]))))
    centres, count = x[:4].copy(), np.zeros(4)
    for i, state in enumerate(states):
        inertia = 0.0
        for part in sequence(0, 0, i, groups(len(source), 4)):
            rows = rows_of(source, part)
            distance = np.square(x[rows][:, None] - centres).sum(axis=2)
            labels = distance.argmin(axis=1)
            inertia += float(weight[rows] @ distance.min(axis=1))
            for row, label in zip(rows, labels, strict=True):
                # Sculley's algorithm 1: a learning rate of weight / count of the centre.
                count[label] += weight[row]
                centres[label] += weight[row] / count[label] * (x[row] - centres[label])
        assert state.history[-1].objective == pytest.approx(inertia, rel=1e-10)
        fit = prepare(source, setting, Given(x[:4]))
        assert relative(fit.model.locations(state.params) + fit.origin, centres) < 1e-10


def test_stepwise_em_is_that_of_plain_numpy() -> None:
    x, components = draw("poisson", ROWS, 3, 4, 2)
    source, rates, weights = source_of(x), components.means, np.full(3, 1 / 3)
    options = {"schedule_options": {"passes": 2, "groups": 4, "alpha": 0.6}}
    setting = setting_of("stepwise", "poisson", 3, max_iter=2, **options)
    states = list(trace(prepare(source, setting, Given(rates, weights))))
    step, n, t = 0, np.zeros(3), np.zeros((3, x.shape[1]))
    for i in range(2):
        for part in sequence(0, 0, i, groups(len(source), 4)):
            rows = x[rows_of(source, part)]
            joint = np.log(weights) + rows @ np.log(rates).T - rates.sum(axis=1)
            r = np.exp(joint - np.logaddexp.reduce(joint, axis=1)[:, None])
            eta = 1.0 if step == 0 else (step + 2) ** -0.6
            n = (1 - eta) * n + eta * r.mean(axis=0)
            t = (1 - eta) * t + eta * r.T @ rows / len(rows)
            weights, rates = n / n.sum(), t / n[:, None]
            step += 1
        assert relative(states[i].params.components.means, rates) < 1e-10
        assert relative(states[i].params.weights, weights) < 1e-10
    assert states[-1].sums is None


# ---- sparse EM and its memo


def sparse_data() -> tuple[Source, Setting]:
    x, _ = blobs(ROWS, 3, 8, 4.0, 2)
    return source_of(x), setting_of("sparse", "diagonal", 8, max_iter=14, tol=0.0)


def test_sparse_passes_are_made_and_freeze() -> None:
    source, setting = sparse_data()
    states = list(trace(prepare(source, setting)))
    frozen = [s.memory for s in states if s.memory.passes > 0]
    assert len(frozen) > 5
    assert np.mean([m.active.mean() for m in frozen]) < 0.6


@pytest.mark.parametrize("lost", ["budget of nothing", "small budget", "cleared midway"])
def test_losing_the_memo_costs_no_bit(lost: str) -> None:
    source, setting = sparse_data()
    wanted = list(trace(prepare(source, setting)))
    budget = {"budget of nothing": 0, "small budget": 3000}.get(lost, 1 << 20)
    options = {**OPTIONS["sparse"], "memo_bytes": budget}
    setting = replace(setting, fit={**setting.fit, "schedule_options": options})
    fit = prepare(source, setting)
    found = []
    for state in trace(fit):
        found.append(state)
        assert MEMO.nbytes <= max(budget, 0) or lost == "cleared midway"
        if lost == "cleared midway":
            MEMO.forget()
    assert bits(found[-1]) == bits(wanted[-1])


def test_the_memo_is_used_and_left_empty() -> None:
    source, setting = sparse_data()
    MEMO.forget()
    held = [MEMO.nbytes for _ in trace(prepare(source, setting))]
    # Twelve bytes a row and the sums of each block, in one generation at a time.
    assert 12 * ROWS < max(held) < 12 * ROWS + BLOCKS * 8 * 8 * 20
    assert MEMO.nbytes == 0


@dataclass(frozen=True)
class Bytes:
    nbytes: int


def test_a_memo_keeps_to_its_budget() -> None:
    memo = Cache()
    keys = [Key("a", "1", i) for i in range(4)]
    assert [memo.put(key, Bytes(30), 100) for key in keys] == [True, True, True, False]
    assert memo.get(keys[0]) == Bytes(30)
    assert memo.get(keys[3]) is None
    # Another run: what was used least recently goes.
    assert memo.put(Key("b", "1", 0), Bytes(30), 100)
    assert memo.get(keys[1]) is None
    assert memo.get(keys[0]) is not None
    # Another generation of a run: its old entries are dead.
    assert memo.put(Key("a", "2", 0), Bytes(30), 100)
    assert memo.get(keys[0]) is None
    assert memo.nbytes == 60
    memo.forget("a")
    assert memo.nbytes == 30
    assert not memo.put(Key("b", "1", 1), Bytes(200), 100)
    memo.forget()
    assert memo.nbytes == 0


def test_two_fits_do_not_share_a_memo() -> None:
    source, setting = sparse_data()
    x, _ = blobs(ROWS, 3, 8, 4.0, 3)
    other = source_of(x)
    alone = [list(trace(prepare(s, setting)))[-1] for s in (source, other)]
    one, two = trace(prepare(source, setting)), trace(prepare(other, setting))
    together = list(zip(one, two, strict=False))
    assert bits(together[-1][0]) == bits(alone[0])
    assert bits(together[-1][1]) == bits(alone[1])


# ---- moments about moving means, collapse, refusals


@pytest.mark.parametrize("schedule", ALL)
def test_narrow_components_are_batch_em(schedule: str) -> None:
    if not serves(schedule, "full"):
        return
    rng = np.random.default_rng(0)
    x = np.repeat(np.array([[-1e4, 0.0], [1e4, 1.0], [0.0, 1e4]]), 200, axis=0)
    x = rng.permutation(x + 1e-2 * rng.standard_normal(x.shape))
    setting = setting_of(schedule, "full", 3, tol=1e-9, max_iter=20, schedule_options={})
    found = run(prepare(source_of(x), setting))
    wanted = run(prepare(source_of(x), setting_of("batch", "full", 3, tol=1e-9, max_iter=20)))
    assert found.numerics.centred
    assert found.objective == pytest.approx(wanted.objective, rel=1e-9)
    order, other = np.argsort(found.means[:, 0]), np.argsort(wanted.means[:, 0])
    assert relative(found.means[order], wanted.means[other]) < 1e-9


@pytest.mark.covering
@pytest.mark.parametrize("policy", ["regularise", "reseed", "drop", "raise"])
@pytest.mark.parametrize(("schedule", "name"), PAIRS)
def test_collapse_follows_the_policy(schedule: str, name: str, policy: str) -> None:
    like = "full" if name == "kmeans" else name
    x = draw(like, 400, 3, wide(like, 2))[0]
    setting = setting_of(schedule, name, 3, on_collapse=policy, max_iter=30)
    setting = replace(setting, options={})
    fit = prepare(source_of(x), setting, lost_start(like, x, 1e4))
    if policy == "raise":
        with pytest.raises(CollapseError):
            run(fit)
        return
    found = run(fit)
    assert_sound(found)
    reseeded = sum(r.reseeded for r in found.state.history)
    dropped = sum(r.dropped for r in found.state.history)
    assert (reseeded > 0, dropped) == {
        "regularise": (False, 0), "reseed": (True, 0), "drop": (False, 1)
    }[policy]  # fmt: skip
    assert len(found.means) == (2 if policy == "drop" else 3)


@pytest.mark.parametrize("name", ["full", "kmeans"])
@pytest.mark.parametrize("assignment", ["soft", "hard", "tempered", "stochastic"])
@pytest.mark.parametrize("schedule", ALL)
def test_what_cannot_be_served_is_refused(schedule: str, assignment: str, name: str) -> None:
    hard = name == "kmeans" or assignment == "hard"
    changing = name != "kmeans" and assignment in ("tempered", "stochastic")
    wanted = not changing and {
        "squarem": not hard, "sparse": not hard, "minibatch": hard, "pruned": name == "kmeans"
    }.get(schedule, True)  # fmt: skip
    assert serves(schedule, name, assignment) == (wanted or schedule in ("auto", "batch"))
    setting = setting_of(schedule, name, assignment=assignment)
    if not serves(schedule, name, assignment):
        with pytest.raises(ConfigError, match=f"fit.schedule '{schedule}' .* Use|use fit.schedule"):
            Recipe(setting.model_section, setting.fit_section).checked()


def test_hard_mixtures_can_be_swept() -> None:
    x, start = data_for("full")
    for schedule in ("incremental", "stepwise", "minibatch"):
        found = run(prepare(source_of(x), setting_of(schedule, "full", 4, "hard"), start))
        wanted = run(prepare(source_of(x), setting_of("batch", "full", 4, "hard"), start))
        assert found.status is Status.UNCHANGED
        assert found.objective == pytest.approx(wanted.objective, abs=0.01)


@pytest.mark.parametrize("memory", [None, Records(({},))])  # type: ignore[arg-type]
def test_incremental_em_without_its_records_is_refused(memory: Any) -> None:
    x, start = data_for("full")
    fit = prepare(source_of(x), setting_of("incremental", "full", tol=0.0), start)
    states = trace(fit)
    next(states)
    state = replace(next(states), memory=memory)
    with pytest.raises(CheckpointError, match="lacks the sums of 3 groups"):
        next(iterate(fit, state))


@pytest.mark.parametrize("schedule", ALL)
def test_a_damaged_memory_does_not_decode(schedule: str) -> None:
    setting = setting_of(schedule, "full" if serves(schedule, "full") else "kmeans")
    types = Recipe(setting.model_section, setting.fit_section).types
    meta = {"kind": "fields", "items": {"seed": 0, "memory": {"kind": "fields", "items": {"x": 1}}}}
    with pytest.raises(CheckpointError):
        decode(FitState, {}, meta, types)


# ---- what is told


@pytest.mark.parametrize("schedule", ALL)
def test_progress_counts_each_block_once_a_pass(schedule: str) -> None:
    name = "full" if serves(schedule, "full") else "kmeans"
    told: list[Event] = []
    x, start = data_for(name)
    start = start if name == "full" else Given(x[:4])
    setting = setting_of(schedule, name, max_iter=3, tol=0.0)
    fit = replace(prepare(source_of(x), setting, start), listen=told.append)
    list(trace(fit))
    progress = [e for e in told if isinstance(e, Progress) and e.what.startswith("iteration")]
    assert {e.total for e in progress} == {BLOCKS}
    for what in ("iteration 1", "iteration 2", "iteration 3"):
        done = [e.done for e in progress if e.what == what]
        assert done == sorted(done)
        assert (done[0], done[-1]) == (0, BLOCKS)


@pytest.mark.parametrize("schedule", ["stepwise", "minibatch"])
def test_an_online_sweep_is_no_bound_and_ends_nothing(schedule: str) -> None:
    name = "kmeans" if schedule == "minibatch" else "full"
    warned: list[Event] = []
    x, start = data_for(name)
    setting = setting_of(schedule, name, tol=1e3, schedule_options={"passes": 3, "groups": 3})
    fit = replace(prepare(source_of(x), setting, start), listen=warned.append)
    found = run(fit)
    assert found.iterations > 3
    assert np.isnan([r.change for r in found.state.history[:4]]).all()
    assert np.isnan([r.updated for r in found.state.history[:3]]).all()
    assert not [event for event in warned if isinstance(event, Warned)]
    # Ended in the sweeps, the result is scored by a pass of its own.
    short = run(prepare(source_of(x), replace(setting, fit={**setting.fit, "max_iter": 2}), start))
    again: Callable[..., Fitting] = run
    batch = prepare(source_of(x), setting_of("batch", name, max_iter=1))
    scored = again(batch, FitState(0, params=short.state.best.params)).state.history[0]
    assert short.status is Status.MAX_ITER
    assert short.objective == pytest.approx(scored.objective, rel=1e-12)
