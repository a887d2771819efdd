"""The rows of `benchmarks.ratio`: what is timed, through the public interface alone.

Modules of emdist move between versions. Commands, options, configuration keys and estimators do
not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks.comparison.data import Clusters, in_memory, on_disk
from benchmarks.comparison.workload import MIB
from emdist.interfaces import Array

#: A step of a child: a command, an import or the fit of an estimator; see `benchmarks.ratio_child`.
#: In its words, {scratch} is a folder for this turn alone, and {x} and {small} are data.
Step: TypeAlias = Mapping[str, Any]
#: The times of a turn: of its whole processes, and of the work proper in them.
TIMES = ("whole", "work")
#: Bytes of a chunk of the Zarr arrays.
_CHUNK = 8 * MIB


@dataclass(frozen=True)
class Row:
    """A row of the table: work that both sides do.

    Attributes
    ----------
    name
        Name on the command line (``--only``).
    title
        Title in the table.
    work
        Steps that are timed.
    warm
        Steps before them in the same process, which are not timed. They load and compile, and fit
        what `work` needs.
    data
        Name -> function that writes data into a folder and returns the files. Its file ``x`` is
        passed to the steps under that name.
    processes
        Number of processes of a turn, one after another, for short rows.
    judged
        The times that the verdict uses. Work of less than a millisecond is only noise.
    """

    name: str
    title: str
    work: tuple[Step, ...]
    warm: tuple[Step, ...] = ()
    data: Mapping[str, Callable[[Path], Mapping[str, Path]]] = field(default_factory=dict)
    processes: int = 1
    judged: tuple[str, ...] = TIMES

    def make(self, folder: Path) -> dict[str, str]:
        """Make the data in `folder` if they are not there, and return their paths."""
        place = folder / self.name
        place.mkdir(parents=True, exist_ok=True)
        return {name: str(make(place)["x"]) for name, make in self.data.items()}


@dataclass(frozen=True)
class Holed(Clusters):
    """Clusters of which a tenth of the cells is missing."""

    def draw(self, at: int, rows: int) -> Array:
        from benchmarks.family_cost import with_holes

        return with_holes(super().draw(at, rows), None)


def rows(tiny: bool = False) -> tuple[Row, ...]:
    """Return all rows; `tiny` makes the data small, for tests, which measure nothing."""
    return (*_starts(tiny), *_fits(tiny), *_others(tiny))


def _line(text: str) -> Step:
    return {"command": text.split()}


def _data(x: Clusters, tiny: bool) -> tuple[Clusters, Clusters]:
    """Return the data, and a small part that is enough to compile all kernels they need."""
    small = replace(x, rows=50 * x.components)
    return (small if tiny else x), small


def _on_disk(x: Clusters, tiny: bool) -> dict[str, Callable[[Path], Mapping[str, Path]]]:
    named = zip(("x", "small"), _data(x, tiny), strict=True)
    return {name: partial(on_disk, data, chunk_bytes=_CHUNK) for name, data in named}


def _starts(tiny: bool) -> Iterator[Row]:
    """Rows that measure what every use costs, however little there is to do."""
    bare, ten = ({"import": "emdist", "names": []},), 1 if tiny else 10
    yield Row("start-import", "import emdist", bare, processes=ten, judged=("whole",))
    named = ({"import": "emdist", "names": ["KMeans", "GaussianMixture", "Sweep", "load"]},)
    yield Row("start-names", "from emdist import KMeans, ...", named, processes=1 if tiny else 2)
    version = _line("--version")
    yield Row("start-version", "emdist --version", (version,), processes=1 if tiny else 2)
    yield Row(
        "start-fit",
        "emdist fit of 400 rows, nothing loaded before",
        (_line("fit {x} -k 8 --run {scratch}/run -q"),),
        data=_on_disk(Clusters(400, 8, 8, spread=4.0), tiny),
        processes=1 if tiny else 2,
    )


def _fit(name: str, title: str, x: Clusters, options: str, tiny: bool) -> Row:
    """A row that runs `emdist fit` on a Zarr array, on threads, without labels."""
    line = "fit {%s} -k %d %s --no-labels --run {scratch}/%s -q"
    words = {at: line % (at, x.components, options, at) for at in ("x", "small")}
    title = f"{title}, {x}"
    return Row(name, title, (_line(words["x"]),), (_line(words["small"]),), _on_disk(x, tiny))


def _fits(tiny: bool) -> Iterator[Row]:
    """Rows that run `emdist fit` with a fixed number of iterations."""
    wide = Clusters(1_000_000, 32, 16, spread=0.5)
    yield _fit("kmeans", "K-means", wide, "--tol 0 --max-iter 60", tiny)
    pruned = "--tol 0 --max-iter 100 --set fit.schedule=pruned"
    yield _fit("pruned", "K-means, pruned", Clusters(500_000, 16, 64, spread=1.0), pruned, tiny)
    mini = "--tol 0 --max-iter 20 --set fit.schedule=minibatch"
    yield _fit("minibatch", "K-means, minibatch", wide, mini, tiny)
    medians = Clusters(200_000, 16, 16, spread=1.0)
    yield _fit("kmedians", "K-medians", medians, "-m kmedians --max-iter 20", tiny)
    full = Clusters(200_000, 16, 8, spread=0.5)
    yield _fit("full", "Gaussian, full", full, "-m full --tol 0 --max-iter 40", tiny)
    diagonal = "-m diagonal --tol 0 --max-iter 30"
    yield _fit("diagonal", "Gaussian, diagonal", replace(wide, rows=400_000), diagonal, tiny)
    bits = Clusters(200_000, 64, 10, bits=True)
    yield _fit("bernoulli", "Bernoulli", bits, "-m bernoulli --tol 0 --max-iter 30", tiny)
    missing = "-m full --tol 0 --max-iter 10 --set data.non_finite=missing"
    holed = Holed(50_000, 8, 4)
    yield _fit("missing", "Gaussian, full, a tenth missing", holed, missing, tiny)
    many = Clusters(500_000, 16, 200)
    yield _fit("seeding", "Seeds of K-means and one iteration", many, "--max-iter 1", tiny)
    wide_many = Clusters(100_000, 128, 1000)
    yield _fit("seeding-wide", "Seeds of 1,000 clusters", wide_many, "--max-iter 1", tiny)
    cluster = ["kind=local", "n_workers=2", "threads_per_worker=1", "processes=false"]
    dask = "--tol 0 --max-iter 20 " + " ".join(f"--set cluster.{setting}" for setting in cluster)
    yield _fit("dask", "K-means, two Dask workers of one process", wide, dask, tiny)


def _others(tiny: bool) -> Iterator[Row]:
    """Rows that run a sweep, labels and an estimator."""
    x = Clusters(500_000, 16, 16, spread=1.0)
    line = "sweep {%s} -k 4,8,12,16 --tol 0 --max-iter 20 --no-labels --run {scratch}/%s -q"
    yield Row(
        "sweep",
        f"Sweep of 4 K-means, {x}",
        (_line(line % ("x", "x")),),
        (_line(line % ("small", "small")),),
        _on_disk(x, tiny),
    )
    told = "label {scratch}/run {%s} {scratch}/%s.zarr -o labels -o score -o responsibilities -q"
    labelled = Clusters(1_000_000, 16, 16)
    yield Row(
        "label",
        f"Labels, scores and responsibilities, Gaussian, full, {labelled}",
        (_line(told % ("x", "x")),),
        (
            _line("fit {small} -m full -k 16 --max-iter 3 --no-labels --run {scratch}/run -q"),
            _line(told % ("small", "small")),
        ),
        _on_disk(labelled, tiny),
    )
    wide = Clusters(1_000_000, 32, 16, spread=0.5)
    parameters = {"n_clusters": 16, "tol": 0.0, "max_iter": 60, "random_state": 0}
    named = {"estimator": "KMeans", "parameters": parameters}
    yield Row(
        "estimator",
        f"KMeans(...).fit of a NumPy array, {wide}",
        ({**named, "x": "{x}"},),
        ({**named, "x": "{small}"},),
        {n: partial(in_memory, d) for n, d in zip(("x", "small"), _data(wide, tiny), strict=True)},
    )
