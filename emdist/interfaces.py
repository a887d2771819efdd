"""The architecture on one page: what a source, a model and an engine are.

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

#: Features of a row that a model looks at, those together of which one is of no use alone.
Cells: TypeAlias = tuple[list[int], ...]

P = TypeVar("P")
Q = TypeVar("Q", contravariant=True)
S = TypeVar("S", bound=Monoid)

FORMAT_VERSION = 1

#: What a sum of squared movements counts as where it overflows.
LARGEST_MOVE = float(np.finfo(np.float64).max)


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

    @property
    def nbytes(self) -> int:
        """Of its arrays, in bytes."""
        parts = (self.x, self.weight, self.mask)
        return sum(part.nbytes for part in parts if part is not None)

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
    def bounds(self) -> Sequence[int]:
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
    covariance
        (d, d) weighted covariance, where a family needs it.
    """

    origin: Floats
    mean: Floats
    variance: Floats
    low: Floats
    high: Floats
    whole: NDArray[np.bool_]
    weight: float
    covariance: Floats | None = None


@dataclass(frozen=True)
class Domain:
    """The values that a family's features can take: the same for all, or given for each.

    Attributes
    ----------
    what
        In words, such as "bits, 0 or 1".
    low, high
        Smallest and largest.
    whole
        Whether only whole numbers occur.
    """

    what: str | tuple[str, ...]
    low: float | tuple[float, ...] = -math.inf
    high: float | tuple[float, ...] = math.inf
    whole: bool | tuple[bool, ...] = False


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
    unit
        Where sums of sample weights must be exact (K-medians), weights are rounded to multiples
        of this; 0 for as they are.
    """

    dtype: Literal["float32", "float64"]
    centred: bool = False
    unit: float = 0.0


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
        H of these responsibilities, and of missing values where Q is expected over them too.
    updated
        The objective after the M-step's half of the iteration: the new parameters under the
        same responsibilities. ``objective <= updated <= next objective``, or the other way
        round for models that minimise.
    """

    expected: float = math.nan
    entropy: float = math.nan
    updated: float = math.nan


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


class Traits(Protocol):
    """What a model is like: asked by the driver, which decides by it what may be done."""

    @property
    def minimises(self) -> bool:
        """Whether a smaller objective is better."""

    @property
    def domain(self) -> Domain | None:
        """What features can be; None for any real numbers."""

    @property
    def missing(self) -> bool:
        """Whether NaN counts as a value missing at random; otherwise rows have none."""

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

    @property
    def squares(self) -> bool:
        """Whether squares of the features are added up, so that they must not overflow."""

    def cells(self, d: int) -> Cells | None:
        """What a row of `d` features must have one of to tell anything; None for any feature."""


class Passes(Protocol[Q]):
    """What a pass over the blocks calls, in whatever process they are worked on."""

    def e_step(self, block: Block, params: Q, origin: Floats, numerics: Numerics) -> Sums:
        """Sums of one block, ``n``, ``t``, ``objective`` and ``weight`` among them."""

    def first_step(
        self, block: Block, start: Q, nearest: NDArray[np.int32], origin: Floats
    ) -> Sums:
        """Sums of one block for rows already labelled: an M-step makes a start of them."""

    def shared_step(self, block: Block, origin: Floats) -> Sums:
        """Statistics of one block that no responsibility enters; gathered once per run."""


class Updates(Protocol[P]):
    """What the driver calls after a pass: new parameters, and what the pass was worth."""

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

    def shift(self, params: P, new: P) -> float:
        """Sum of squared movements of the locations by an M-step, in squared units of the data.

        Where `new` only tells within what bounds a location will come to lie, at most so much.
        """
        ...

    def unchanged(self, sums: Sums, previous: Sums | None, params: P, new: P) -> bool:
        """Whether hard labels, and so all that follows, stay as they are from here on.

        `sums` of the pass that made `new` of `params`, `previous` of the pass before, if any.
        """
        ...

    def weak(self, sums: Sums, params: P) -> NDArray[np.int64]:
        """Components of the new `params` that have collapsed."""

    def reseed(self, sums: Sums, params: P, numerics: Numerics, worst: Worst, spread: Spread) -> P:
        """The M-step with components `worst.index` started anew at `worst.rows`."""


class Labels(Protocol[Q]):
    """What a label pass calls, and whatever shows users labels, scores and responsibilities."""

    def assign(
        self, block: Block, params: Q, origin: Floats, numerics: Numerics, resp: bool = False
    ) -> Assigned:
        """Labels and scores of the rows of a block that count."""

    def shown(self, params: Q, numerics: Numerics, resp: bool = False) -> Numerics:
        """How `assign` computes what users see, where a fit computes with `numerics`.

        Sums over rows forgive float32 much that a score and a criterion do not.
        """


class Operations(Protocol[P]):
    """What is done to parameters besides: made from seeds, moved, picked, shown."""

    def start(self, seeds: Floats, spread: Spread) -> P:
        """Equal weights, components at `seeds` (k, d)."""

    def numerics(self, params: P, spread: Spread, dtype: np.dtype[Any]) -> Numerics:
        """The cheapest arithmetic that keeps the promised digits for these parameters."""

    def take(self, params: P, index: NDArray[np.int64]) -> P:
        """Only components `index`."""

    def translate(self, params: P, shift: Floats) -> P:
        """Every location moved by `shift` (d,)."""

    def locations(self, params: P) -> Floats:
        """(k, d) where the components lie."""


class Model(Traits, Passes[P], Updates[P], Labels[P], Operations[P], Protocol[P]):
    """Family, assignment and weights as one: what is fitted. `P` holds weights and components."""

    def at(self, turn: Turn) -> Model[P]:
        """The model as it computes in one turn: its temperature, its draws."""


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
