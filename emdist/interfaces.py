"""The interfaces of the architecture: sources of data, models, engines and what they exchange.

Data flows one way. A `Source` gives blocks of rows. A `Model` turns each block into `Sums` (the
E-step). An `Engine` adds the `Sums` of all blocks in a fixed order. The model turns the total
into new parameters (the M-step), and the loop records both in a `FitState`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from emdist.pieces import Pieces as Pieces
from emdist.sums import Monoid, Sums

Array: TypeAlias = NDArray[Any]
Floats: TypeAlias = NDArray[np.float64]

#: Groups of features that a model looks at. A value of a row is of use only if the row has values
#: of all other features of its group as well. Most models have one feature in each group.
Cells: TypeAlias = tuple[list[int], ...]

P = TypeVar("P")
Q = TypeVar("Q", contravariant=True)
S = TypeVar("S", bound=Monoid)
FORMAT_VERSION = 1
#: The value of a sum of squared movements that overflows.
LARGEST_MOVE = float(np.finfo(np.float64).max)


@dataclass(frozen=True)
class Box:
    """The part of a grid of samples, with named dimensions, whose rows make up a block.

    Rows of a grid are numbered in C order of the whole grid, as ``DataArray.stack`` does, so that
    the number of a row does not depend on how the grid is divided into boxes.

    Attributes
    ----------
    names
        The names of the dimensions.
    shape
        The size of the whole grid.
    start, size
        The first position of the box, counted in the grid, and its size.
    origin
        The positions in the stored arrays at which the grid begins.
    taken
        By name, the positions in the stored arrays of dimensions of which only some are taken.
    """

    names: tuple[str, ...]
    shape: tuple[int, ...]
    start: tuple[int, ...]
    size: tuple[int, ...]
    origin: tuple[int, ...]
    taken: tuple[tuple[str, Sequence[int]], ...] = ()

    def rows(self, a: int, b: int) -> NDArray[np.int64]:
        """Return the numbers of the rows a..b of the box, which are in C order of the box."""
        # Rows along the last dimension follow one another, so only the lines are looked up.
        length = self.size[-1]
        lines = np.arange(a // length, -(-b // length), dtype=np.int64)
        at = np.unravel_index(lines, self.size[:-1]) if len(self.size) > 1 else ()
        first = np.zeros(len(lines), np.int64)
        for i, begin, n in zip(at, self.start, self.shape, strict=False):
            first = first * n + i + begin
        first = first * self.shape[-1] + self.start[-1]
        found = (first[:, None] + np.arange(length)).reshape(-1)
        return found[a % length :][: b - a]

    @property
    def region(self) -> tuple[slice, ...]:
        """The box as slices of the grid."""
        return tuple(slice(a, a + n) for a, n in zip(self.start, self.size, strict=True))

    def place(self, row: int) -> str:
        """Return where row `row` of the box lies in the stored arrays, for messages."""
        at = np.unravel_index(row, self.size)
        return ", ".join(self._told(axis, int(i)) for axis, i in enumerate(at))

    def __str__(self) -> str:
        return ", ".join(self._told(axis, 0, n - 1) for axis, n in enumerate(self.size))

    def _told(self, axis: int, *at: int) -> str:
        """Return positions of the box along one dimension as those of the stored arrays."""
        name, first, origin = self.names[axis], self.start[axis], self.origin[axis]
        stored = dict(self.taken).get(name, range(origin, origin + self.shape[axis]))
        return f"{name} {'..'.join(str(stored[first + i]) for i in at)}"


@dataclass(frozen=True)
class Block:
    """Rows of the data, as stored: consecutive ones, or those in a box of a grid.

    Attributes
    ----------
    index
        The position of this block in the block plan.
    start
        The number of rows in the blocks before this one.
    x
        The rows, (n, d), C-contiguous and in native byte order, as float32, float64 or an
        integer type.
    weight
        The sample weights, (n,) float64, or None if all are 1.
    mask
        Which rows count, (n,) bool, or None if all do. Rows whose mask is False are left out:
        they are neither fitted nor labelled.
    missing_note
        For messages: which stored numbers became NaN when they were decoded. "" for none.
    box
        The part of a grid that the rows fill, or None if they are numbered from `start` on.
    pieces
        The sequences of the rows, or None if their order means nothing.
    """

    index: int
    start: int
    x: Array
    weight: Floats | None = None
    mask: NDArray[np.bool_] | None = None
    missing_note: str = ""
    box: Box | None = None
    pieces: Pieces | None = None

    @property
    def nbytes(self) -> int:
        """Size of its arrays in bytes."""
        return sum(one.nbytes for one in (self.x, self.weight, self.mask) if one is not None)

    def rows(self) -> NDArray[np.int64]:
        """Return the indices, in the whole data, of the m rows that count: (m,)."""
        rows = self._numbers(0, len(self.x))
        return rows if self.mask is None else rows[self.mask]

    def local(self) -> NDArray[np.int64]:
        """Return the indices, in the block, of the m rows that count: (m,)."""
        if self.mask is None:
            return np.arange(len(self.x), dtype=np.int64)
        return np.flatnonzero(self.mask).astype(np.int64)

    def numbering(self) -> Callable[[int, int], NDArray[np.int64]]:
        """Return a function that gives ``rows()[a:b]``, without all of `rows` where possible."""
        if self.mask is None or bool(self.mask.all()):
            return self._numbers
        rows = self.rows()
        return lambda a, b: rows[a:b]

    def _numbers(self, a: int, b: int) -> NDArray[np.int64]:
        """Return the indices, in the whole data, of the rows a..b of the block: (b - a,)."""
        if self.box is not None:
            return self.box.rows(a, b)
        return np.arange(self.start + a, self.start + b, dtype=np.int64)

    def named(self, row: int) -> str:
        """Return how messages name row `row` of the block."""
        number = int(self._numbers(row, row + 1)[0])
        return f"row {number}" + ("" if self.box is None else f" ({self.box.place(row)})")

    @property
    def extent(self) -> str:
        """How messages name the rows of the block."""
        if self.box is not None:
            return str(self.box)
        return f"rows {self.start}..{self.start + len(self.x) - 1}"

    def valid(self) -> tuple[Array, Floats | None]:
        """Return ``(x, weight)`` of the m rows that count: (m, d), and (m,) or None."""
        if self.mask is None or bool(self.mask.all()):
            return self.x, self.weight
        return self.x[self.mask], None if self.weight is None else self.weight[self.mask]


class Source(Protocol):
    """The data of a fit, from which blocks are read.

    A source is small and can be pickled: it holds the URL of a store, for example, and not the
    open store. Its blocks cover every row exactly once: in order or, for a grid, box by box. The
    block plan depends on the data and the configuration alone, never on the engine.
    """

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and number of features."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Data type of `Block.x`."""

    @property
    def bounds(self) -> Sequence[int]:
        """The block plan: the number of rows before each block, then the number of all rows."""

    def __len__(self) -> int:
        """Return the number of blocks."""

    def read(self, i: int) -> Block:
        """Read block `i`. Every call, on any machine, returns bit-identical data."""

    def fingerprint(self) -> Mapping[str, Any]:
        """Return JSON that changes when the data change. It is cheap: not all data are read."""


@dataclass(frozen=True)
class Spread:
    """Location and spread of each feature of the data. The survey computes them.

    Attributes
    ----------
    origin
        The point that is subtracted from all rows, (d,): the mean or, for counts and categories,
        zero. All moments and parameters inside emdist are relative to it, because raw moments at
        an offset of 1e6 lose every digit.
    mean
        The weighted mean, (d,), relative to `origin`.
    variance
        The weighted variance, (d,).
    low, high
        The smallest and the largest value of each feature, (d,), relative to `origin`.
    whole
        Whether all values of a feature are whole numbers, (d,).
    weight
        The sum of the sample weights.
    covariance
        The weighted covariance, (d, d), if a family needs it; otherwise None.
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
    """The values that a family's features can take, for all features or for each of them.

    Attributes
    ----------
    what
        A description in words, such as "bits, 0 or 1".
    low, high
        The smallest and the largest possible value.
    whole
        Whether only whole numbers are possible.
    option
        The option of the family that sets `high`, by its key in a configuration; may be empty.
    """

    what: str | tuple[str, ...]
    low: float | tuple[float, ...] = -math.inf
    high: float | tuple[float, ...] = math.inf
    whole: bool | tuple[bool, ...] = False
    option: str = field(default="", compare=False)


@dataclass(frozen=True)
class Numerics:
    """The arithmetic of one pass. The driver chooses it, and it is the same for every block.

    Attributes
    ----------
    dtype
        The precision of tiles, "float32" or "float64". Sums are always float64.
    centred
        Whether scores and moments are computed about the mean of each component. This is slower
        and free of cancellation. Otherwise they are expanded about the origin of the data, which
        takes two matrix products.
    unit
        The number to whose multiples sample weights are rounded, where their sums must be exact
        (K-medians). 0 leaves the weights as they are.
    """

    dtype: Literal["float32", "float64"]
    centred: bool = False
    unit: float = 0.0


@dataclass(frozen=True)
class IterationIndex:
    """Which iteration of which restart a pass belongs to.

    These numbers determine the random numbers of the pass. Schedules and assignments that change
    from iteration to iteration also depend on them.

    Attributes
    ----------
    seed
        The random seed.
    restart
        The number of the restart, counted from 0.
    iteration
        The number of the iteration within the restart, counted from 1.
    """

    seed: int
    restart: int
    iteration: int


@dataclass(frozen=True)
class Terms:
    """The terms of the objective in one iteration. A term that a model lacks is NaN.

    All terms are in nats per unit of weight, except for `updated` of models that minimise: it is
    in the units of their objective.

    Attributes
    ----------
    expected
        Q, the expected complete-data log-likelihood plus the log-prior, of the parameters before
        the M-step and under the responsibilities that they gave.
    entropy
        H, the entropy of these responsibilities. If Q is an expectation over missing values too,
        H includes their entropy.
    updated
        The objective after the M-step, before the next E-step: that of the new parameters under
        the same responsibilities. ``objective <= updated <= next objective``, or the other way
        round for models that minimise.
    """

    expected: float = math.nan
    entropy: float = math.nan
    updated: float = math.nan


@dataclass(frozen=True)
class Worst:
    """The rows that a model explains worst, one for each component that is to be reseeded.

    Attributes
    ----------
    index
        The components to reseed, (c,).
    rows
        The rows at which they are reseeded, (c, d), relative to the origin, worst first.
    labels
        The components to which these rows belong so far, (c,).
    weight
        The sample weights of these rows, (c,).
    """

    index: NDArray[np.int64]
    rows: Floats
    labels: NDArray[np.int64]
    weight: Floats


@dataclass(frozen=True)
class Assigned:
    """Labels, scores and responsibilities of the m rows of a block that are not left out.

    Attributes
    ----------
    labels
        The label of each row, (m,) int32.
    score
        The log-likelihood of each row in nats, or its squared distance for K-means: (m,).
    resp
        The responsibilities, (m, k), if they were asked for; otherwise None.
    filtered
        For sequences, the posteriors given the rows so far, (m, k), if they were asked for.
    predicted
        For sequences, the probabilities of the state in the next time step given the rows so far,
        (m, k), if they were asked for.
    """

    labels: NDArray[np.int32]
    score: Floats
    resp: Array | None = None
    filtered: Array | None = None
    predicted: Array | None = None


class Traits(Protocol):
    """Properties of a model. The driver reads them to decide what a fit can do."""

    @property
    def minimises(self) -> bool:
        """Whether a smaller objective is better."""

    @property
    def domain(self) -> Domain | None:
        """The values that features can have, or None for any real numbers."""

    @property
    def missing(self) -> bool:
        """Whether NaN is a missing value, at random. Otherwise no row may contain NaN."""

    @property
    def approximation(self) -> str:
        """Why the M-step misses the exact maximum, so that the lower bound may fall; else empty."""

    @property
    def settled(self) -> bool:
        """Whether the model computes the same in every later iteration, so that a fit may stop."""

    @property
    def temperature(self) -> float:
        """Temperature of the responsibilities: 1 for EM, 0 for hard assignment, NaN for draws."""

    @property
    def additive(self) -> bool:
        """Whether `m_step` accepts sums of any rows that were added and scaled."""

    @property
    def squares(self) -> bool:
        """Whether squares of the features are added up, so that they must not overflow."""

    def cells(self, d: int) -> Cells | None:
        """Return the groups of features of which a row of `d` features needs one complete group.

        A row without a complete group says nothing about the model. None stands for groups of
        one feature each.
        """


class Passes(Protocol[Q]):
    """The methods of a model that a pass calls for each block, in any process."""

    def e_step(self, block: Block, params: Q, origin: Floats, numerics: Numerics) -> Sums:
        """Return the sums of one block, among them ``n``, ``t``, ``objective`` and ``weight``."""

    def first_step(
        self, block: Block, start: Q, nearest: NDArray[np.int32], origin: Floats
    ) -> Sums:
        """Return the sums of a block whose rows have labels `nearest`, to compute starting values.

        An M-step with these sums gives the starting values.
        """

    def shared_step(self, block: Block, origin: Floats) -> Sums:
        """Return sums of a block that do not depend on responsibilities.

        They are computed once per run.
        """


class Updates(Protocol[P]):
    """The methods of a model that the driver calls after a pass."""

    def m_step(self, sums: Sums, params: P, numerics: Numerics) -> P:
        """Return new parameters from the sums of a pass with `params` and `numerics`."""

    def objective(self, sums: Sums, params: P, numerics: Numerics) -> float:
        """Return the objective of `params` from the sums of a pass with them.

        It is in nats per unit of weight, or an inertia. EM never lowers it (or never raises it,
        for models that minimise). A family's `log_prior` is part of it.
        """

    def expected(self, sums: Sums, params: P) -> float:
        """Return the part of the field ``objective`` of `sums` that depends on `params`, in nats.

        `sums` are about the origin. Their responsibilities may come from other parameters. The
        rest of the field, which is the entropy and the terms without parameters, depends on the
        responsibilities alone. So sums of passes with different parameters can be compared under
        the same `params`.
        """

    def terms(self, sums: Sums, params: P, new: P, numerics: Numerics) -> Terms:
        """Return the terms of the objective of `params`, and the objective after the M-step."""

    def shift(self, params: P, new: P) -> float:
        """Return the sum of the squared movements of all locations, in squared units of the data.

        If `new` contains only bounds of the locations, the result is the largest sum that these
        bounds allow.
        """
        ...

    def unchanged(self, sums: Sums, previous: Sums | None, params: P, new: P) -> bool:
        """Return whether hard labels will never change again, so that the fit can stop.

        `sums` are those of the pass that led from `params` to `new`. `previous` are those of the
        pass before it, or None if there was none.
        """
        ...

    def weak(self, sums: Sums, params: P) -> NDArray[np.int64]:
        """Return the indices of the components of the new `params` that have collapsed."""

    def reseed(self, sums: Sums, params: P, numerics: Numerics, worst: Worst, spread: Spread) -> P:
        """Make the M-step, with components `worst.index` reseeded at `worst.rows`."""


class Labels(Protocol[Q]):
    """The methods of a model that compute the labels, scores and responsibilities users see."""

    def assign(
        self, block: Block, params: Q, origin: Floats, numerics: Numerics, resp: bool = False
    ) -> Assigned:
        """Return labels and scores of the rows of a block, except rows that are left out.

        Responsibilities come with them if `resp` is True.
        """

    def shown(self, params: Q, numerics: Numerics, resp: bool = False) -> Numerics:
        """Return the arithmetic with which `assign` computes what users see.

        `numerics` is the arithmetic of the fit, which may be less accurate than the result.
        float32 does little harm to sums over rows, but more to the score of a row and to a
        criterion.
        """


class Operations(Protocol[P]):
    """Other methods of a model: make parameters from seeds, move them, select components."""

    def start(self, seeds: Floats, spread: Spread) -> P:
        """Return parameters with equal weights and components at `seeds` (k, d)."""

    def numerics(self, params: P, spread: Spread, dtype: np.dtype[Any]) -> Numerics:
        """Return the cheapest arithmetic that is accurate enough for these parameters."""

    def take(self, params: P, index: NDArray[np.int64]) -> P:
        """Return parameters of the components `index` only."""

    def translate(self, params: P, shift: Floats) -> P:
        """Return parameters with `shift` (d,) added to every location."""

    def locations(self, params: P) -> Floats:
        """Return the locations of the components: (k, d)."""


class Model(Traits, Passes[P], Updates[P], Labels[P], Operations[P], Protocol[P]):
    """What is fitted: a family, an assignment and a way to estimate mixture weights.

    Its parameters, of type `P`, hold the mixture weights and the parameters of the components.
    """

    def at(self, iteration_index: IterationIndex) -> Model[P]:
        """Return the model as it computes in one iteration, with its temperature and its draws."""


class Engine(Protocol):
    """Applies a task to blocks and adds the results in a fixed order. It knows nothing of EM."""

    def map_reduce(
        self,
        task: Callable[[int], S],
        blocks: Sequence[int],
        done: Callable[[int], None] | None = None,
    ) -> S:
        """Return ``tree_sum([task(i) for i in blocks])``, bit for bit.

        Parameters
        ----------
        task
            A function of a block's index. It must be pure and picklable, because it may run twice
            for the same block, and in another process.
        blocks
            The indices of the blocks, at least one.
        done
            A function that is called on the driver with the number of blocks finished so far. It
            only serves to display progress.
        """
