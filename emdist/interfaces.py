"""The architecture on one page: what a source, a family, a model and an engine are.

Data flows one way: a `Source` gives blocks of rows, a `Model` turns each block into `Sums`
(the E-step), an `Engine` adds the `Sums` of all blocks in a fixed order, the model turns them
into new parameters (the M-step), and the loop records both in a `FitState`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from emdist.sums import Monoid, Sums

Array: TypeAlias = NDArray[Any]
Floats: TypeAlias = NDArray[np.float64]

P = TypeVar("P")
S = TypeVar("S", bound=Monoid)

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Block:
    """A run of consecutive rows, as stored.

    Attributes
    ----------
    index
        Position in the block plan.
    start
        Global index of the first row.
    x
        (n, d), C-contiguous, native byte order: float32, float64 or an integer type.
    weight
        (n,) float64 sample weights, or None for 1.
    mask
        (n,) bool, True where the row counts, or None for all. Rows whose mask is False are
        neither fitted nor labelled.
    """

    index: int
    start: int
    x: Array
    weight: Floats | None = None
    mask: NDArray[np.bool_] | None = None

    def rows(self) -> NDArray[np.int64]:
        """(m,) global indices of the rows that count."""
        local = np.arange(len(self.x)) if self.mask is None else np.flatnonzero(self.mask)
        return local.astype(np.int64) + self.start

    def valid(self) -> tuple[Array, Floats | None]:
        """``(x, weight)`` of the rows that count: (m, d) and (m,) or None."""
        if self.mask is None or bool(self.mask.all()):
            return self.x, self.weight
        return self.x[self.mask], None if self.weight is None else self.weight[self.mask]


class Source(Protocol):
    """A recipe for blocks: small, picklable, a URL and not an open store.

    The union of all blocks covers every row exactly once, in order. The plan depends on the
    data and the configuration alone, never on the engine.
    """

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, features)."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of `Block.x`."""

    @property
    def bounds(self) -> tuple[int, ...]:
        """First row of each block, and the number of rows at the end."""

    def __len__(self) -> int:
        """Number of blocks."""

    def read(self, i: int) -> Block:
        """Block `i`. Pure: the same bits on every call, on any machine."""

    def fingerprint(self) -> Mapping[str, Any]:
        """JSON that changes when the data does; cheap, no full read."""


@dataclass(frozen=True)
class Spread:
    """Where the data lie, feature by feature, from the survey pass.

    Attributes
    ----------
    origin
        (d,) stored origin, the mean or, for counts and categories, zero; all moments and
        parameters inside emdist are relative to it, because raw moments at an offset of 1e6
        lose every digit.
    mean
        (d,) weighted mean, relative to `origin`.
    variance
        (d,) weighted variance.
    low, high
        (d,) smallest and largest value, relative to `origin`.
    whole
        (d,) whether all values are whole numbers.
    weight
        Total sample weight.
    """

    origin: Floats
    mean: Floats
    variance: Floats
    low: Floats
    high: Floats
    whole: NDArray[np.bool_]
    weight: float


@dataclass(frozen=True)
class Domain:
    """The values that a family's features can take.

    Attributes
    ----------
    what
        In words, such as "bits, 0 or 1".
    low, high
        Smallest and largest, of every feature; `high` may be given feature by feature.
    whole
        Whether only whole numbers occur.
    """

    what: str
    low: float = -math.inf
    high: float | tuple[float, ...] = math.inf
    whole: bool = False


@dataclass(frozen=True)
class Numerics:
    """How one pass computes: chosen on the driver, the same for every block.

    Attributes
    ----------
    dtype
        "float32" or "float64": the precision of tiles. Sums are float64 always.
    centred
        False: scores and moments expanded about the data's origin, two matrix products.
        True: taken about each component's own mean, slower and free of cancellation.
    """

    dtype: Literal["float32", "float64"]
    centred: bool = False


@dataclass(frozen=True)
class Turn:
    """Where a fit stands when a pass is made: what changes from pass to pass, and names draws.

    Attributes
    ----------
    seed
        Root of every random choice.
    restart
        0-based start.
    iteration
        1-based within the start.
    """

    seed: int
    restart: int
    iteration: int


@dataclass(frozen=True)
class Terms:
    """What an objective is made of in one iteration; NaN where a model has no such term.

    All are per unit of weight, in nats, but `updated` of models that minimise: their objective.

    Attributes
    ----------
    expected
        Q: expected complete-data log-likelihood, log-prior included, of the parameters that
        entered, under the responsibilities they gave.
    entropy
        H of these responsibilities.
    updated
        The objective after the M-step's half of the iteration: the new parameters under the
        same responsibilities. ``objective <= updated <= next objective``, or the other way
        round for models that minimise.
    """

    expected: float = math.nan
    entropy: float = math.nan
    updated: float = math.nan


class Density(Protocol):
    """k components at one parameter value, ready to score and gather tiles.

    Tiles lie as (m, d); scores and responsibilities as (k, m), so that the loop over rows is
    the inner one and vectorises.
    """

    @property
    def n_components(self) -> int: ...

    @property
    def width(self) -> int:
        """Columns of the sufficient statistic T(x)."""

    @property
    def offset(self) -> Array:
        """(k,) to be added to the scores of each component: the caller does it with its own."""

    @property
    def constant(self) -> float:
        """What is added to every score of every row: nats."""

    def statistics(self, x: Array) -> Array:
        """T(x): (m, d) -> (m, width)."""

    def score(self, x: Array, t: Array, out: Array) -> None:
        """Fill `out` (k, m) with log p(x|k) up to `offset`, `base` and `constant`."""

    def base(self, x: Array) -> Floats:
        """(m,) the part of log p(x|k) that all components share and `score` leaves out."""

    def explain(self, x: Array, score: Array, labels: NDArray[np.int32]) -> Floats:
        """(m,) log p(x|label) without `constant`, free of cancellation where it matters.

        `score` (m,) is that of the label, with its `offset`.
        """

    def gather(self, x: Array, t: Array, resp: Array) -> Array:
        """Sum of resp * T(x): (k, m) -> (k, width), about the pivot of the numerics."""

    def scatter(
        self, x: Array, t: Array, labels: NDArray[np.int32], weight: Floats | None
    ) -> tuple[Floats, Floats]:
        """Sums for hard labels: (k,) weights and (k, width) statistics."""

    def expected(self, n: Floats, t: Floats, about: Floats | None) -> float:
        """Sum of resp * log p(x|k) from its sums, without `base` and `constant`: nats.

        Parameters
        ----------
        n, t
            (k,) weights and (k, width) statistics of a pass.
        about
            (k, d) locations about which a centred pass gathered them; None for the origin.
        """


class Family(Protocol[P]):
    """k components of one distribution: the E-step's density and the M-step's estimate.

    All parameters are relative to `Spread.origin`.
    """

    @property
    def params(self) -> type[P]:
        """The frozen dataclass of arrays that holds k components."""

    @property
    def shifted(self) -> bool:
        """Whether rows are taken relative to their mean; counts and categories are not."""

    @property
    def domain(self) -> Domain | None:
        """What its features can be, held against all rows; None for any real numbers."""

    @property
    def approximation(self) -> str:
        """Why `estimate` is not quite the maximum, so that the bound may fall; else empty."""

    def start(self, seeds: Floats, spread: Spread) -> P:
        """k components at `seeds` (k, d), each as wide as the data."""

    def density(self, params: P, numerics: Numerics) -> Density:
        """`params` made ready for the tiles of a pass."""

    def estimate(self, sums: Sums, params: P, numerics: Numerics) -> P:
        """The M-step: from ``n`` (k,), ``t`` (k, width) and what `shared` gave."""

    def amplification(self, params: P, spread: Spread) -> float:
        """How many times rounding error grows in the expanded score, per feature (>= 1)."""

    def shared(self, x: Floats, weight: Floats | None) -> dict[str, Floats]:
        """Statistics that no responsibility enters, gathered once: tied needs sum x x^T."""

    def shared_base(self, params: P, shared: Mapping[str, Floats], numerics: Numerics) -> float:
        """Sum of ``weight * base(x)`` over all rows, from what `shared` gathered."""

    def log_prior(self, params: P) -> float:
        """What the M-step maximises besides the log-likelihood, up to a constant: nats."""

    def locations(self, params: P) -> Floats:
        """(k, d) where the components lie, relative to the origin."""

    def collapsed(self, params: P) -> NDArray[np.bool_]:
        """(k,) components that are too narrow to have a density."""

    def translate(self, params: P, shift: Floats) -> P:
        """The same components with `shift` (d,) added to every location."""

    def reseat(self, params: P, index: NDArray[np.int64], rows: Floats, spread: Spread) -> P:
        """Components `index` started anew at `rows`; the others as they are."""

    def take(self, params: P, index: NDArray[np.int64]) -> P:
        """Only the components `index`."""

    def sample(self, params: P, k: int, n: int, rng: np.random.Generator) -> Floats:
        """(n, d) draws from component `k`."""

    def free_parameters(self, n_components: int, n_features: int) -> int:
        """For information criteria."""


@dataclass(frozen=True)
class Worst:
    """Rows that the model explains worst, one for each component to be started anew.

    Attributes
    ----------
    index
        (c,) components to start anew.
    rows
        (c, d) relative to the origin, worst first.
    labels
        (c,) components that hold these rows now.
    weight
        (c,) their sample weights.
    """

    index: NDArray[np.int64]
    rows: Floats
    labels: NDArray[np.int64]
    weight: Floats


@dataclass(frozen=True)
class Assigned:
    """What a model says of the rows of a block that count.

    Attributes
    ----------
    labels
        (m,) int32.
    score
        (m,) log-likelihood in nats, or the squared distance for K-means.
    resp
        (m, k) responsibilities, only on request.
    """

    labels: NDArray[np.int32]
    score: Floats
    resp: Array | None = None


class Model(Protocol[P]):
    """Family, assignment and weights: what the loop sees. `P` holds weights and components."""

    @property
    def minimises(self) -> bool:
        """Whether a smaller objective is better."""

    @property
    def domain(self) -> Domain | None:
        """What features can be; None for any real numbers."""

    @property
    def approximation(self) -> str:
        """Why the M-step is not quite the maximum, so that the bound may fall; else empty."""

    @property
    def settled(self) -> bool:
        """Whether the model computes the same in every later turn, so that a fit may stop."""

    @property
    def temperature(self) -> float:
        """Of the responsibilities: 1 for EM, 0 for hard assignment, NaN for draws."""

    @property
    def additive(self) -> bool:
        """Whether sums of any rows, added and scaled, are sums that `m_step` can be given."""

    def at(self, turn: Turn) -> Model[P]:
        """The model as it computes in one turn: its temperature, its draws."""

    def start(self, seeds: Floats, spread: Spread) -> P:
        """Equal weights, components at `seeds` (k, d)."""

    def numerics(self, params: P, spread: Spread, dtype: np.dtype[Any]) -> Numerics:
        """The cheapest arithmetic that keeps the promised digits for these parameters."""

    def e_step(self, block: Block, params: P, origin: Floats, numerics: Numerics) -> Sums:
        """Sums of one block, ``n``, ``t``, ``objective`` and ``weight`` among them."""

    def first_step(
        self, block: Block, start: P, nearest: NDArray[np.int32], origin: Floats
    ) -> Sums:
        """Sums of one block for rows already labelled: an M-step makes a start of them."""

    def shared_step(self, block: Block, origin: Floats) -> Sums:
        """Statistics of one block that no responsibility enters; gathered once per run."""

    def m_step(self, sums: Sums, params: P, numerics: Numerics) -> P:
        """New parameters from the sums of a pass with `params` and `numerics`."""

    def objective(self, sums: Sums, params: P, numerics: Numerics) -> float:
        """Of `params`, from the sums of a pass with them: nats per unit of weight, or inertia.

        What never falls (or never rises): a family's `log_prior` is part of it.
        """

    def expected(self, sums: Sums, params: P) -> float:
        """What `params` contribute to the field ``objective``, responsibilities given: nats.

        From sums about the origin, gathered with any parameters. The rest of the field, entropy
        and what no parameter enters, depends on the responsibilities alone; so sums of passes
        with different parameters can be held against one.
        """

    def terms(self, sums: Sums, params: P, new: P, numerics: Numerics) -> Terms:
        """Parts of the objective of `params`, and what the M-step to `new` made of it."""

    def weak(self, sums: Sums, params: P) -> NDArray[np.int64]:
        """Components of the new `params` that have collapsed."""

    def reseed(self, sums: Sums, params: P, numerics: Numerics, worst: Worst, spread: Spread) -> P:
        """The M-step with components `worst.index` started anew at `worst.rows`."""

    def take(self, params: P, index: NDArray[np.int64]) -> P:
        """Only components `index`."""

    def translate(self, params: P, shift: Floats) -> P:
        """Every location moved by `shift` (d,)."""

    def locations(self, params: P) -> Floats:
        """(k, d) where the components lie."""

    def assign(
        self, block: Block, params: P, origin: Floats, numerics: Numerics, resp: bool = False
    ) -> Assigned:
        """Labels and scores of the rows of a block that count."""


class Engine(Protocol):
    """Runs a task over blocks and adds the results in a fixed order; knows nothing of EM."""

    def map_reduce(
        self,
        task: Callable[[int], S],
        blocks: Sequence[int],
        done: Callable[[int], None] | None = None,
    ) -> S:
        """``tree_sum([task(i) for i in blocks])``, bit for bit.

        Parameters
        ----------
        task
            Pure and picklable: it may run twice, and in another process.
        blocks
            Block indices, at least one.
        done
            Called on the driver with the number of blocks finished so far. For display only.
        """
