"""The table of bad data: what it is, what the user gets, and how that is known to be right.

``docs/reliability.md`` shows this table, and a test holds the two together.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import dask.array as da
import numpy as np
import pyarrow as pa
from sklearn.exceptions import ConvergenceWarning

from emdist import (
    BayesianGaussianMixture,
    BernoulliMixture,
    BinomialMixture,
    CategoricalMixture,
    GaussianMixture,
    IsotropicMixture,
    KCentroids,
    KMeans,
    KMedians,
    MiniBatchKMeans,
    MultinomialMixture,
    PoissonMixture,
    ProductMixture,
)
from emdist.errors import (
    DataError,
    DegenerateWarning,
    DistinctRowsError,
    DomainError,
    DtypeError,
    EmdistError,
    NonFiniteError,
    ShapeError,
    StartError,
    WeightError,
)

Case: TypeAlias = tuple[Any, Any]  # rows and weights

#: Families of the columns of a product, one after another.
REALS, MIXED = ("diagonal", "full", "spherical"), ("bernoulli", "poisson")


def groups_of(families: tuple[str, ...], rows: Any) -> list[dict[str, Any]]:
    """Column j belongs to family j modulo their number, whatever has come as rows."""
    width = np.shape(rows)[1] if np.ndim(rows) == 2 else 1
    columns = [list(range(i, width, len(families))) for i in range(len(families))]
    pairs = zip(families, columns, strict=True)
    return [{"family": family, "columns": c} for family, c in pairs if c or family == families[0]]


def product(families: tuple[str, ...]) -> Callable[..., Any]:
    """A `ProductMixture` of any number of columns."""

    class Product(ProductMixture):
        def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Any:
            self.groups = groups_of(families, X)
            return super().fit(X, y, sample_weight)

    return lambda k, **o: Product(k, random_state=0, **o)


#: Estimator by the name of the model in a configuration, and that model's section.
MODELS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "kmeans": (lambda k, **o: KMeans(k, random_state=0, **o), {}),
    "kmedians": (lambda k, **o: KMedians(k, random_state=0, **o), {}),
    "kcentroids": (lambda k, **o: KCentroids(k, random_state=0, **o), {}),
    **{
        name: (lambda k, t=kind, **o: GaussianMixture(
            k, covariance_type=t, random_state=0, **o), {})
        for name, kind in (("full", "full"), ("tied", "tied"), ("diagonal", "diag"),
                           ("spherical", "spherical"))
    },
    "variational_full": (lambda k, **o: BayesianGaussianMixture(
        n_components=k, random_state=0, weight_concentration_prior_type="dirichlet_distribution",
        **o), {"weights": "variational_dirichlet"}),
    "isotropic": (lambda k, **o: IsotropicMixture(k, random_state=0, **o),
                  {"options": {"variance": 1.0}}),
    "product": (product(REALS), {"groups": REALS}),
    "minibatch": (lambda k, **o: MiniBatchKMeans(k, random_state=0, **o), {"name": "kmeans"}),
    "bernoulli": (lambda k, **o: BernoulliMixture(k, random_state=0, **o), {}),
    "poisson": (lambda k, **o: PoissonMixture(k, random_state=0, **o), {}),
    "multinomial": (lambda k, **o: MultinomialMixture(k, random_state=0, **o), {}),
    "binomial": (lambda k, **o: BinomialMixture(k, n_trials=1, random_state=0, **o),
                 {"options": {"trials": 1}}),
    "categorical": (lambda k, **o: CategoricalMixture(k, n_categories=2, random_state=0, **o),
                    {"options": {"categories": 2}}),
    "mixed": (product(MIXED), {"name": "product", "groups": MIXED}),
}  # fmt: skip

#: Of all fits: exact for centres, and for mixtures as good as.
TOL, MAX_ITER = 1e-12, 500

#: Models of any real numbers; the others are of bits, counts or codes.
REAL = list(MODELS)[:11]
COUNTS = list(MODELS)[11:]
#: Models that refuse missing values.
NO_HOLES = ("kmedians", "variational_full", "multinomial")


def section_of(name: str, rows: Any, k: int) -> dict[str, Any]:
    """The section ``model`` for these rows."""
    section = {"name": name, "n_components": k, **MODELS[name][1]}
    if (families := section.pop("groups", None)) is not None:
        section["options"] = {"groups": groups_of(families, rows)}
    return section


def schedule_of(name: str) -> dict[str, Any]:
    """What the section ``fit`` has beside tolerance and iterations."""
    return {"schedule": "minibatch"} if name == "minibatch" else {}


def bits() -> Any:
    """(80, 8) two kinds of rows of bits, which are in the domain of every model."""
    rng = np.random.default_rng(7)
    share = np.array([[0.9] * 4 + [0.1] * 4, [0.1] * 4 + [0.9] * 4])
    x = (rng.random((80, 8)) < share[np.arange(80) % 2]).astype(np.float64)
    x[:, 0] = np.where(x.sum(axis=1) == 0, 1.0, x[:, 0])  # multinomial: no empty rows
    return x


def reals() -> Any:
    """(80, 3) two clouds of real numbers, well apart."""
    rng = np.random.default_rng(8)
    return rng.normal(size=(80, 3)) + 9.0 * (np.arange(80)[:, None] % 2)


@dataclass(frozen=True)
class Row:
    """One kind of bad data.

    Attributes
    ----------
    what
        In the words of the documentation.
    gets
        What the user gets, in the same words.
    make
        Rows and weights.
    like
        Rows and weights of the sane equivalent, to which the answer is compared; None for an
        error.
    error
        Class of the error, or None.
    says
        What its message must hold.
    models
        "all", "real", "squares" (real, but for K-medians), "sums" (all, but for K-medians),
        "medians" (K-medians alone), "holes" (that take missing values) or "counts".
    k
        Components asked for.
    options
        Of the estimator and of the section ``data``.
    moved, scaled
        Locations are those of `like`, times `scaled`, plus `moved`.
    but
        Models of which only the labels are compared.
    stored
        Whether Zarr can hold it.
    """

    what: str
    gets: str
    make: Callable[[], Case]
    like: Callable[[], Case] | None = None
    error: type[EmdistError] | None = None
    says: str = ""
    models: Literal["all", "real", "squares", "sums", "medians", "holes", "counts"] = "all"
    k: int = 2
    options: Mapping[str, Any] = field(default_factory=dict)
    moved: Any = 0.0
    scaled: Any = 1.0
    but: tuple[str, ...] = ()
    stored: bool = True

    @property
    def names(self) -> list[str]:
        """Of the models that it is for."""
        squares = [name for name in REAL if name != "kmedians"]
        named = {"all": list(MODELS), "real": REAL, "squares": squares, "counts": COUNTS}
        named |= {"sums": [*squares, *COUNTS], "medians": ["kmedians"]}
        named["holes"] = [name for name in MODELS if name not in NO_HOLES]
        return named[self.models]


def locations(est: Any) -> Any:
    """Where the components of a fitted estimator lie, in a comparable order."""
    for name in ("cluster_centers_", "means_", "probabilities_", "rates_"):
        if hasattr(est, name):
            found = np.asarray(getattr(est, name))
            return found[..., 1] if found.ndim == 3 else found
    raise AssertionError(f"{type(est).__name__} says not where its components lie")


def fitted(name: str, k: int, case: Case, options: Mapping[str, Any]) -> Any:
    """The estimator of a model, fitted; that it may not converge is not what is tested."""
    rows, weights = case
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # NumPy's, beside emdist's own error
        warnings.simplefilter(
            "ignore", DegenerateWarning
        )  # said of rows of few values, and rightly
        warnings.simplefilter("ignore", ConvergenceWarning)
        # Far enough that two ways to one answer meet.
        est = MODELS[name][0](k, **options)
        est.set_params(tol=TOL, max_iter=MAX_ITER)
        return est.fit(rows, sample_weight=weights)


def _with(value: float, row: int = 33, column: int = 1) -> Callable[[], Case]:
    def make() -> Case:
        x = bits()
        x[row, column] = value
        return x, None

    return make


def _as(dtype: Any) -> Callable[[], Case]:
    return lambda: (bits().astype(dtype), None)


def _plain() -> Case:
    return bits(), None


def _plain_reals() -> Case:
    return reals(), None


def _masked(rows: Any) -> Callable[[], Case]:
    def make() -> Case:
        x = bits()
        x[rows] = np.nan
        return x, None

    return make


def _weights(change: Callable[[Any], Any]) -> Callable[[], Case]:
    return lambda: (bits(), change(np.ones(80)))


def _heavy(value: float, row: int = 42) -> Callable[[], Case]:
    def make() -> Case:
        weights = np.ones(80)
        weights[row] = value
        return bits(), weights

    return make


def _structured() -> Case:
    return np.zeros(80, dtype=[("a", "f8"), ("b", "f8")]), None


def _arrow(absent: list[int]) -> Any:
    """The rows of bits as an Arrow table, without the second feature of some rows."""
    x = bits()
    columns = [pa.array(column.astype(int), mask=np.zeros(80, bool)) for column in x.T]
    columns[1] = pa.array(x[:, 1].astype(int), mask=np.isin(np.arange(80), absent))
    return pa.table(columns, names=[f"f{j}" for j in range(x.shape[1])])


def _declared(change: Callable[[Any], Any]) -> Any:
    """The rows of bits as a Dask array that says that `change` leaves them as they are."""
    return da.from_array(bits(), chunks=(40, 8)).map_blocks(change, dtype="f8")


def _anew(x: Any) -> Any:
    """Other rows of bits each time."""
    return np.random.default_rng().permutation(x.ravel()).reshape(x.shape)


_UNITS = np.array([1.0, 1e6, 1.0])
_HALF = np.arange(80) < 40

TABLE = [
    Row("NaN", "error: block, row and feature", _with(np.nan), error=NonFiniteError,
        says="row 33 has nan in feature 1"),
    Row("infinity, of either sign", "error: block, row and feature", _with(-np.inf),
        error=NonFiniteError, says="row 33 has -inf in feature 1"),
    Row("NaN and `non_finite: drop`", "the fit of the other rows", _masked([5, 33]),
        lambda: (np.delete(bits(), [5, 33], axis=0), None), options={"non_finite": "drop"}),
    Row("all rows NaN and `non_finite: drop`", "error: nothing is left", _masked(slice(None)),
        error=ShapeError, says="All 80 rows are left out", options={"non_finite": "drop"}),
    Row("a block that is empty once rows are left out", "the fit of the other rows",
        _masked(_HALF), lambda: (bits()[40:], None),
        options={"non_finite": "drop", "block_size": "1280 B"}),
    Row("NaN and `non_finite: missing`, in all of a row", "the fit of the other rows",
        _masked([5, 33]), lambda: (np.delete(bits(), [5, 33], axis=0), None),
        options={"non_finite": "missing"}, models="holes"),
    Row("subnormal numbers", "they count as what they are, next to nothing",
        lambda: (np.where(reals() > 4, reals(), reals() + 1e-310), None), _plain_reals,
        models="real"),
    Row("all numbers subnormal", "error: squares would be zero",
        lambda: (reals() * 1e-310, None), error=DataError, says="Scale the features",
        models="squares"),
    Row("1e300", "error: squares would overflow", _with(1e300), error=DataError,
        says="squares overflow", models="sums"),
    Row("1e300 as a unit", "the fit in another unit", lambda: (reals() * 2.0**996, None),
        _plain_reals, models="medians", scaled=2.0**996),
    Row("1e308, of either sign", "error: differences overflow",
        lambda: (np.sign(reals() - 4.0) * 1e308, None), error=DataError,
        says="differences overflow", models="medians"),
    Row("negative zero", "zero", lambda: (np.where(bits() == 0, -0.0, 1.0), None), _plain),
    Row("numbers outside of the family's domain", "error: the feature, what it holds",
        _with(-1.0), error=DomainError, says="feature 1 ranges from -1", models="counts"),
    Row("constant features", "the fit without them, and the constants",
        lambda: (np.column_stack([reals(), np.full(80, 3.0)]), None), _plain_reals,
        models="real"),
    Row("duplicate rows", "the fit of the rows with weights",
        lambda: (np.repeat(bits(), 3, axis=0), None), lambda: (bits(), np.full(80, 3.0))),
    Row("all rows equal", "error: how many distinct rows there are",
        lambda: (np.ones((80, 4)), None), error=DistinctRowsError, says="only 1 distinct row"),
    Row("fewer rows than components", "error: both numbers", lambda: (bits()[:3], None),
        error=StartError, says="n_samples=3|4 components for 3 rows", k=4),
    Row("one row, one component", "the row", lambda: (bits()[:1], None),
        lambda: (np.repeat(bits()[:1], 5, axis=0), None), k=1),
    Row("a feature in units a million times another's",
        "Gaussians: the fit in sane units, scaled; centres: the feature decides, as in float64",
        lambda: ((reals() * _UNITS), None), _plain_reals, models="real", scaled=_UNITS),
    Row("an offset of 1e8", "the fit without it, moved", lambda: (reals() + 1e8, None),
        _plain_reals, models="real", moved=1e8),
    Row("integers", "the fit of the same numbers in float64", _as("int32"), _plain),
    Row("64-bit integers", "the fit in float64, to 53 bits", _as("int64"), _plain),
    Row("unsigned integers above 2^53", "the fit of the nearest float64; isotropic: in "
        "units of its variance",
        lambda: ((bits().astype(np.uint64) << np.uint64(60)) + np.uint64(1), None),
        lambda: (bits(), None), models="real", scaled=2.0**60, but=("isotropic",)),
    Row("booleans", "the fit of 0 and 1", _as(bool), _plain),
    Row("float16", "the fit of the same numbers in float32", _as("float16"), _as("float32")),
    Row("long double", "the fit in float64", _as(np.longdouble), _plain, stored=False),
    Row("big-endian", "the same bits as little-endian", _as(">f8"), _plain),
    Row("Fortran order", "the same bits", lambda: (np.asfortranarray(bits()), None), _plain),
    Row("negative strides", "the same bits", lambda: (bits()[::-1].copy()[::-1], None), _plain,
        stored=False),
    Row("weights of zero", "the fit without these rows",
        _weights(lambda w: np.where(_HALF, 0.0, w)), lambda: (bits()[40:], None)),
    Row("enormous weights, all alike", "the fit with weights of 1; a posterior, which counts "
        "rows, forgets its prior", _weights(lambda w: w * 1e150), _plain,
        but=("variational_full",)),
    Row("negative weights", "error: the row", _heavy(-1.0), error=WeightError, says="row 42: -1"),
    Row("weights that are NaN", "error: the row", _heavy(np.nan), error=WeightError,
        says="row 42: nan"),
    Row("weights that are all zero", "error", _weights(lambda w: w * 0), error=WeightError,
        says="All sample weights are zero"),
    Row("weights that sum to infinity", "error: divide them", _weights(lambda w: w * 1e307),
        error=WeightError, says="sum to more than float64 holds"),
    Row("weights of another length", "error: both lengths", lambda: (bits(), np.ones(79)),
        error=WeightError, says=r"\(79,\), expected \(80,\)"),
    Row("text", "error: encode it", lambda: (np.full((80, 2), "a"), None), error=DtypeError,
        says="encode the categories"),
    Row("objects", "error, or numbers where they are", lambda: (np.full((4, 2), object()), None),
        error=DtypeError, says="not a matrix of numbers", stored=False),
    Row("complex numbers", "error: parts or modulus", lambda: (bits() * 1j, None),
        error=DtypeError, says="modulus"),
    Row("dates", "error: convert them", lambda: (np.zeros((80, 2), "M8[s]"), None),
        error=DtypeError, says="convert dates"),
    Row("structured records", "error", _structured, error=EmdistError,
        says="expected real numbers|dimension|no matrix", stored=False),
    Row("no dimension", "error: rows by features", lambda: (np.float64(5), None),
        error=ShapeError, says="0 dimension", stored=False),
    Row("one dimension", "error: how to reshape", lambda: (bits()[:, 0], None), error=ShapeError,
        says="Reshape your data"),
    Row("three dimensions", "error: rows by features", lambda: (bits().reshape(20, 4, 8), None),
        error=ShapeError, says="3 dimension"),
    Row("no rows", "error", lambda: (bits()[:0], None), error=ShapeError, says="0 sample"),
    Row("no features", "error", lambda: (bits()[:, :0], None), error=ShapeError,
        says="0 feature"),
    Row("a masked array with masked values", "error: fill it, or how to leave rows out",
        lambda: (np.ma.masked_less(bits(), 0.5), None), error=DtypeError, says="masked values",
        stored=False),
    Row("NA in columns of pandas, polars or Arrow", "NaN: the policy for NaN applies",
        lambda: (_arrow([33]), None), error=NonFiniteError, says="row 33 has nan in feature 1",
        stored=False),
    Row("NA and `non_finite: drop`", "the fit of the other rows", lambda: (_arrow([5, 33]), None),
        lambda: (np.delete(bits(), [5, 33], axis=0), None), options={"non_finite": "drop"},
        stored=False),
    Row("masked weights", "error: fill them, 0 to leave rows out",
        _weights(lambda w: np.ma.masked_where(_HALF, w)), error=WeightError,
        says=r"filled\(0\)", stored=False),
    Row("chunks of a Dask array that are not what it declares", "error: the chunk",
        lambda: (_declared(lambda x: x[:7]), None), error=ShapeError, says=r"chunk \(0, 0\)",
        stored=False),
    Row("a Dask array that changes from pass to pass", "error: how to make it stable",
        lambda: (_declared(_anew), None), error=DataError, says="changed between two passes",
        stored=False),
]  # fmt: skip


def markdown() -> str:
    """The table as ``docs/reliability.md`` shows it."""
    of = {
        "all": "all",
        "real": "real numbers",
        "squares": "real numbers, not K-medians",
        "sums": "all but K-medians",
        "medians": "K-medians",
        "holes": "that take missing values",
        "counts": "bits, counts, codes",
    }
    lines = [
        f"| {row.what} | {of[row.models]} | "
        f"{f'`{row.error.__name__}`, ' if row.error is not None else ''}{row.gets} |"
        for row in TABLE
    ]
    return "\n".join(["| data | models | what the user gets |", "|---|---|---|", *lines])
