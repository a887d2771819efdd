"""One way to fit in all tests: through `emdist.composition.make`, as the command line does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from emdist.composition.make import make_fit, make_survey
from emdist.composition.model import make_family
from emdist.composition.recipe import Recipe
from emdist.engines.threads import LocalEngine
from emdist.fit.fit import Fit
from emdist.fit.fitted import Collect, Collected
from emdist.fit.loop import iterate
from emdist.fit.observed import observed_source
from emdist.fit.start import Given
from emdist.fit.state import FitState, Status
from emdist.inputs.plugins import plugins
from emdist.interfaces import Array, Engine, Floats, Numerics, Source, Spread
from emdist.models.arrays import arrays_of
from emdist.settings.config import FAMILIES, FitSection, ModelSection
from emdist.store.sources.arrays import array_source

#: Every family there is: a new file is tested by existing.
ALL_FAMILIES = sorted(plugins(FAMILIES, "family"))

#: Models whose clusters are centres alone; the others are mixtures.
CENTRES = ["kmeans", "kmedians"]

#: Options under which a family's laws say more than under its defaults.
OPTIONS: dict[str, dict[str, Any]] = {"binomial": {"trials": 9}, "categorical": {"categories": 4}}

#: Parts of the product that its laws are held under: feature j is in part j modulo their number.
PARTS: list[dict[str, Any]] = [
    # Just enough for rows that are all alike; more, and the M-step maximises something else.
    {"family": "diagonal", "options": {"reg_covar": 1e-12}},
    {"family": "categorical", "options": {"categories": 4}},
    {"family": "poisson"},
]


def options_of(name: str, d: int = 2) -> dict[str, Any]:
    """`OPTIONS`, for rows of `d` features where that matters."""
    if name != "product":
        return OPTIONS.get(name, {})
    columns = [list(range(i, d, len(PARTS))) for i in range(len(PARTS))]
    groups = [{**part, "columns": c} for part, c in zip(PARTS, columns, strict=True) if c]
    return {"groups": groups}


#: A family with noise: the one whose shared statistics the noise has a part in.
NOISY = "tied+noise"

ONE_THREAD = LocalEngine(1)


def section_of(name: str, k: int = 3, d: int = 2) -> ModelSection:
    """A family with the options its laws are held under."""
    name, _, noise = name.partition("+")
    options = options_of(name, d)
    return ModelSection(name=name, noise=bool(noise), n_components=k, options=options)


def family_of(name: str, d: int = 2) -> Any:
    """As `section_of`, the family itself."""
    return make_family(section_of(name, d=d))


def is_shifted(name: str) -> bool:
    """Whether a family's rows are any real numbers, so that offsets make sense."""
    return bool(np.all(family_of(name).shifted))


#: Families with a posterior: rows that weigh twice as much leave less to the prior.
VARIATIONAL = [
    name
    for name in ALL_FAMILIES
    if "counts" in getattr(family_of(name).params, "__dataclass_fields__", ())
]

#: Families of real numbers, for laws about offsets and far rows.
SHIFTED = [name for name in ALL_FAMILIES if is_shifted(name)]


@dataclass(frozen=True)
class Fitting:
    """A finished fit, its parameters in the units of the data."""

    fit: Fit
    state: FitState

    @property
    def params(self) -> Any:
        """Of the best start, translated back by the origin."""
        return self.fit.model.translate(self.state.best.params, self.fit.origin)

    @property
    def arrays(self) -> dict[str, Floats]:
        """Weights and the family's arrays by name, in the units of the data."""
        params = self.params
        return {"weights": params.shares, **arrays_of(params.components)}

    @property
    def means(self) -> Floats:
        return self.fit.model.locations(self.params)

    @property
    def objective(self) -> float:
        return self.state.best.objective

    @property
    def iterations(self) -> int:
        return self.state.best.iterations

    @property
    def status(self) -> Status:
        return self.state.best.status

    @property
    def numerics(self) -> Numerics:
        return self.fit.numerics(self.state.best.params)

    def assign(self, x: Array, numerics: Numerics | None = None) -> Collected:
        """Labels, scores and responsibilities of other rows."""
        source = observed_source(array_source(np.asarray(x)), self.fit.model)
        best = self.state.best.params
        chosen = numerics or self.fit.model.numerics(best, self.fit.survey.spread, source.dtype)
        task = Collect(source, self.fit.model, best, self.fit.origin, chosen, True)
        return self.fit.engine.map_reduce(task, range(len(source)))


@dataclass(frozen=True)
class Setting:
    """What is fitted and how; `options` and `fit` as in the configuration file."""

    name: str = "kmeans"
    k: int = 3
    assignment: str = "soft"
    uniform: bool = False
    precision: str = "auto"
    min_weight: float = 0.0
    missing: bool = False
    dissimilarity: Any = None
    options: Mapping[str, Any] = field(default_factory=dict)
    assignment_options: Mapping[str, Any] = field(default_factory=dict)
    weights: str = "free"
    weights_options: Mapping[str, Any] = field(default_factory=dict)
    fit: Mapping[str, Any] = field(default_factory=dict)

    @property
    def model_section(self) -> ModelSection:
        return self.model_section_for(2)

    def model_section_for(self, d: int) -> ModelSection:
        """Of rows of `d` features; ``tied+noise`` is the family tied with noise."""
        name, _, noise = self.name.partition("+")
        return ModelSection(
            name=name,
            noise=bool(noise),
            n_components=self.k,
            assignment=self.assignment,
            assignment_options=dict(self.assignment_options),
            uniform_weights=self.uniform,
            weights=self.weights,
            weights_options=dict(self.weights_options),
            precision=self.precision,
            min_weight=self.min_weight,
            missing=self.missing,
            dissimilarity=self.dissimilarity,
            options={**options_of(name, d), **self.options},
        )

    @property
    def fit_section(self) -> FitSection:
        return FitSection(**self.fit)

    def recipe_for(self, features: int) -> Recipe:
        return Recipe(self.model_section_for(features), self.fit_section)


def prepare(
    source: Source, setting: Setting, given: Given | None = None, engine: Engine = ONE_THREAD
) -> Fit:
    """Survey and composition: all that a fit needs but its state."""
    recipe = setting.recipe_for(source.shape[1])
    survey = engine.map_reduce(make_survey(source, recipe), range(len(source)))
    survey.check(source)
    return make_fit(recipe, source, engine, survey, given or Given())


def run(fit: Fit, state: FitState | None = None) -> Fitting:
    """`fit` advanced to its end."""
    states = list(iterate(fit, state or FitState(0)))
    return Fitting(fit, states[-1])


def trace(fit: Fit) -> Iterator[FitState]:
    """Every state of a fit from its beginning."""
    return iterate(fit, FitState(0))


def fit_array(
    x: Array,
    setting: Setting,
    given: Given | None = None,
    weight: Array | None = None,
    block_bytes: int | None = None,
    engine: Engine = ONE_THREAD,
) -> Fitting:
    """`x` fitted in blocks of about `block_bytes`."""
    weight = None if weight is None else np.asarray(weight, np.float64)
    source = array_source(np.asarray(x), weight, block_bytes)
    return run(prepare(source, setting, given, engine))


def relative(got: Array, wanted: Array) -> float:
    """Largest difference, relative to the largest magnitude in `wanted`."""
    got, wanted = np.asarray(got, np.float64), np.asarray(wanted, np.float64)
    assert got.shape == wanted.shape
    scale = float(np.abs(wanted).max())
    return float(np.abs(got - wanted).max()) / (scale or 1.0)


def blobs(
    n: int, d: int, k: int, apart: float = 6.0, seed: int = 0, dtype: str = "float64"
) -> tuple[Array, Floats]:
    """`n` rows around `k` centres `apart` deviations from each other, and the centres."""
    rng = np.random.default_rng([seed, n, d, k])
    centres = rng.standard_normal((k, d)) * apart
    widths = rng.uniform(0.5, 1.5, (k, d))
    labels = rng.integers(0, k, n)
    x = centres[labels] + widths[labels] * rng.standard_normal((n, d))
    return x.astype(dtype), centres


def draw(name: str, n: int, k: int = 3, d: int = 2, seed: int = 0) -> tuple[Array, Any]:
    """`n` rows drawn from `k` components of a family, and those components."""
    rng = np.random.default_rng([seed, n, k, d])
    name = name.partition("+")[0]
    d = even(name, d)
    family = family_of(name, d)
    zeros, ones = np.zeros(d), np.ones(d)
    spread = Spread(zeros, zeros, ones, -5 * ones, 5 * ones, ones > 1, float(n))
    components = family.start(seeds_for(name, k, d, rng), spread)
    counts = rng.multinomial(n, np.full(k, 1 / k))
    drawn_from = components
    if name == "multinomial":  # of whole totals: the rows that recorded digests are of
        totals = components.means.sum(axis=1, keepdims=True)
        drawn_from = replace(components, means=components.means / totals * np.rint(totals))
    rows = [family.sample(drawn_from, c, int(counts[c]), rng) for c in range(k)]
    return rng.permutation(np.concatenate(rows)), components


def seeds_for(name: str, k: int, d: int, rng: np.random.Generator) -> Floats:
    """(k, d) rows to start at, within the family's domain."""
    domain = family_of(name, d).domain
    if domain is None:
        return 3.0 * rng.standard_normal((k, d))
    low = np.maximum(domain.low, -10.0)
    seeds = rng.uniform(low, np.minimum(domain.high, low + 20.0), (k, d))
    return np.where(domain.whole, np.rint(seeds), seeds)


def wide(name: str, d: int) -> int:
    """`d`, or more where few features of bits or counts tell components apart badly."""
    return d if is_shifted(name) else max(d, 24)


def even(name: str, d: int) -> int:
    """`d`, or one more where columns come in pairs."""
    return d + d % 2 if name == "binomial_pairs" else d


def lost_start(name: str, x: Array, far: float) -> Given:
    """A start of three components whose last gets no rows: it lies far away or weighs nothing."""
    rows = np.asarray(x, np.float64)
    if is_shifted(name):
        return Given(np.concatenate([rows[:2], np.full((1, x.shape[1]), far)]))
    # None so sure of anything that another would not rather explain a row of the third.
    centre = rows.mean(axis=0)
    return Given(centre + 0.25 * (rows[:3] - centre), np.array([0.5, 0.5, 1e-300]))


def given_of(components: Any) -> Given:
    """The means of `components` as a start, or all their arrays where they have none."""
    if hasattr(components, "means"):
        return Given(components.means)
    return Given(scales=arrays_of(components))


def exact_options(name: str) -> dict[str, float]:
    """Options under which the M-step maximises exactly: nothing added to a covariance."""
    names = {f.name for f in fields(family_of(name))}
    return {"reg_covar": 0.0} if "reg_covar" in names else {}


def agree(found: Fitting, wanted: Fitting, tol: float) -> None:
    """Fail unless two fits took as many steps and ended within `tol` of each other."""
    assert found.iterations == wanted.iterations
    assert abs(found.objective - wanted.objective) <= tol * max(1.0, abs(wanted.objective))
    for name, value in wanted.arrays.items():
        assert relative(found.arrays[name], value) <= tol, name


def same_bits(found: Fitting, wanted: Fitting) -> None:
    """Fail unless two fits agree to the last bit, history included."""
    assert repr(found.state.history) == repr(wanted.state.history)
    assert found.objective == wanted.objective
    for name, value in wanted.arrays.items():
        np.testing.assert_array_equal(found.arrays[name], value, err_msg=name)
