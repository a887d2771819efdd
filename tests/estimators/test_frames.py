"""Frames of polars, Dask, pandas and Arrow: the same fit, columns by name, and never an index."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import dask.dataframe as dd
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.pipeline import make_pipeline

import emdist
from emdist import GaussianMixture, KMeans
from emdist.errors import ConfigError, DataError, DtypeError, FeatureNamesError, StorageError
from emdist.prepare import StandardScaler

ROWS = 3000
RNG = np.random.default_rng(0)
X = np.concatenate([RNG.normal(c, 0.3, (ROWS // 2, 3)) for c in (0.0, 5.0)])
NAMES = ["a", "b", "c"]


def pandas_frame(x: Any = X) -> pd.DataFrame:
    return pd.DataFrame(x, columns=NAMES)


def dask_frame(x: Any = X) -> dd.DataFrame:
    return dd.from_pandas(pandas_frame(x), npartitions=7)


def polars_frame(x: Any = X) -> pl.DataFrame:
    return pl.DataFrame(x, schema=NAMES)


def lazy_frame(x: Any = X) -> pl.LazyFrame:
    return polars_frame(x).lazy()


def table(x: Any = X) -> pa.Table:
    return pa.Table.from_pandas(pandas_frame(x), preserve_index=False)


FRAMES = {f.__name__: f for f in (pandas_frame, dask_frame, polars_frame, lazy_frame, table)}


@pytest.mark.parametrize("kind", FRAMES)
def test_the_fit_is_that_of_the_numbers_and_has_the_names(kind: str) -> None:
    make = FRAMES[kind]
    plain = KMeans(2, random_state=0, block_size="16 KiB").fit(X)
    blocks = {} if kind == "dask_frame" else {"block_size": "16 KiB"}
    found = KMeans(2, random_state=0, **blocks).fit(make())
    if kind == "dask_frame":
        np.testing.assert_allclose(found.cluster_centers_, plain.cluster_centers_, atol=1e-12)
    else:
        assert found.cluster_centers_.tobytes() == plain.cluster_centers_.tobytes()
    np.testing.assert_array_equal(found.labels_, plain.labels_)
    assert list(found.feature_names_in_) == NAMES
    np.testing.assert_array_equal(found.predict(make()), found.labels_)
    assert np.array_equal(pickle.loads(pickle.dumps(found)).labels_, found.labels_)
    other = make(X[:, ::-1])
    other = (
        other.rename(columns=dict(zip(NAMES, "cba", strict=True))) if "pandas" in kind else other
    )
    if "pandas" in kind:
        with pytest.raises(FeatureNamesError, match="same order as they were in fit"):
            found.predict(other)


@pytest.mark.parametrize("kind", FRAMES)
def test_missing_values_of_every_frame_are_missing(kind: str) -> None:
    x = np.where(RNG.random(X.shape) < 0.1, np.nan, X)
    plain = GaussianMixture(2, random_state=0, non_finite="missing").fit(x)
    found = GaussianMixture(2, random_state=0, non_finite="missing").fit(FRAMES[kind](x))
    np.testing.assert_allclose(found.means_, plain.means_, rtol=1e-9)


@pytest.mark.parametrize("kind", FRAMES)
def test_a_pipeline_takes_the_frame_and_leaves_the_index_out(kind: str) -> None:
    pipeline = make_pipeline(StandardScaler(), KMeans(2, random_state=0))
    plain = make_pipeline(StandardScaler(), KMeans(2, random_state=0)).fit(X)
    frame = FRAMES[kind]()
    pipeline.fit(frame)
    np.testing.assert_array_equal(pipeline.predict(frame), plain.predict(X))
    assert np.array_equal(pickle.loads(pickle.dumps(pipeline)).predict(frame), plain.predict(X))
    indexed = pandas_frame()
    indexed.insert(0, "__index_level_0__", np.arange(ROWS))
    with pytest.warns(UserWarning, match="left out the column '__index_level_0__'"):
        assert list(StandardScaler().fit(indexed).feature_names_in_) == NAMES


@pytest.mark.parametrize("kind", FRAMES)
def test_rows_of_named_dimensions_are_not_made_of_frames(kind: str) -> None:
    with pytest.raises(DtypeError, match="Pass it to the estimator as it is"):
        emdist.rows(FRAMES[kind]())


# ---- nullable columns, categories, text


def nullable() -> dict[str, Any]:
    """The same numbers as columns with NA, in frames of several packages."""
    whole, some = np.arange(40) % 7, np.arange(40) % 11 == 3
    columns = {"n": np.where(some, np.nan, whole), "x": np.linspace(0, 1, 40)}
    frame = pd.DataFrame(columns)
    ints = frame.assign(n=frame["n"].astype("Int16"), x=frame["x"].astype("Float32"))
    arrow = frame.assign(
        n=pd.array(ints["n"], dtype="int64[pyarrow]"), x=frame["x"].astype("double[pyarrow]")
    )
    polar = pl.DataFrame({"n": [None if b else int(a) for a, b in zip(whole, some, strict=True)],
                          "x": columns["x"]}, schema_overrides={"n": pl.Int8})  # fmt: skip
    return {
        "plain": frame,
        "pandas": ints,
        "pandas arrow": arrow,
        "dask": dd.from_pandas(ints, npartitions=3),
        "dask arrow": dd.from_pandas(arrow, npartitions=3),
        "polars": polar,
        "lazy": polar.lazy(),
        "booleans": frame.assign(n=(frame["n"] > 3).astype("boolean").mask(frame["n"].isna())),
    }


@pytest.mark.parametrize("kind", [kind for kind in nullable() if kind not in ("plain", "booleans")])
def test_columns_with_na_are_numbers_with_nan(kind: str) -> None:
    frames = nullable()
    plain = GaussianMixture(2, random_state=0, non_finite="missing").fit(frames["plain"])
    found = GaussianMixture(2, random_state=0, non_finite="missing").fit(frames[kind])
    np.testing.assert_allclose(found.means_, plain.means_, rtol=1e-5)
    with pytest.raises(DataError, match="NaN"):
        KMeans(2).fit(frames[kind])


def test_nullable_booleans_of_a_dask_frame() -> None:
    frame = nullable()["booleans"]
    parted = dd.from_pandas(frame, npartitions=3)
    found = GaussianMixture(2, random_state=0, non_finite="missing").fit(parted)
    plain = GaussianMixture(2, random_state=0, non_finite="missing").fit(frame)
    np.testing.assert_allclose(found.means_, plain.means_, rtol=1e-12)


def texts() -> dict[str, Any]:
    frame = pandas_frame().assign(kind=pd.Categorical(["u", "v"] * (ROWS // 2)))
    polar = polar_kind()
    return {"dask": dd.from_pandas(frame, npartitions=3), "lazy": polar.lazy(), "polars": polar,
            "pandas": frame}  # fmt: skip


def polar_kind() -> pl.DataFrame:
    kinds = pl.Series(["u", "v"] * (ROWS // 2), dtype=pl.Categorical)
    return polars_frame().with_columns(kind=kinds)


@pytest.mark.parametrize("kind", ["dask", "lazy", "polars", "pandas"])
def test_categories_are_refused_by_the_name_of_their_column(kind: str) -> None:
    x = texts()[kind]
    with pytest.raises(DtypeError, match="kind") as caught:
        KMeans(2).fit(x)
    line = {"dask": "X.select_dtypes('number')", "lazy": "X.select(polars.selectors.numeric())"}
    if kind in line:
        assert line[kind] in str(caught.value)
        found = KMeans(2, random_state=0).fit(eval(line[kind], {"X": x, "polars": pl}))
        assert list(found.feature_names_in_) == NAMES


# ---- Dask: partitions


def test_partitions_without_rows_and_without_known_divisions() -> None:
    frame = dask_frame()
    empty = frame[frame["a"] > 2.5]  # The first partitions have none.
    assert 0 in empty.map_partitions(len).compute().tolist()
    shuffled = dd.concat([empty.clear_divisions(), frame[frame["a"] <= 2.5].clear_divisions()])
    assert not shuffled.known_divisions
    found = KMeans(2, random_state=0).fit(shuffled)
    plain = KMeans(2, random_state=0).fit(np.concatenate([X[X[:, 0] > 2.5], X[X[:, 0] <= 2.5]]))
    np.testing.assert_allclose(found.cluster_centers_, plain.cluster_centers_, atol=1e-12)
    np.testing.assert_array_equal(found.labels_, plain.labels_)


def test_parts_of_dask_are_read_in_natural_order(tmp_path: Path) -> None:
    frame = dd.from_pandas(pandas_frame(), npartitions=12)
    frame.to_parquet(tmp_path / "p")
    found = KMeans(2, random_state=0).fit(dd.read_parquet(tmp_path / "p"))
    plain = KMeans(2, random_state=0).fit(X)
    np.testing.assert_array_equal(found.labels_, plain.labels_)


# ---- index columns


@pytest.mark.parametrize("name", ["__index_level_0__", "__null_dask_index__", "Unnamed: 0"])
@pytest.mark.parametrize("kind", FRAMES)
def test_an_index_that_a_program_wrote_is_left_out_with_a_warning(kind: str, name: str) -> None:
    frame = pandas_frame()
    frame.insert(0, name, np.arange(ROWS)[::-1])
    given = {
        "pandas_frame": lambda: frame,
        "dask_frame": lambda: dd.from_pandas(frame, npartitions=3),
        "polars_frame": lambda: pl.from_pandas(frame),
        "lazy_frame": lambda: pl.from_pandas(frame).lazy(),
        "table": lambda: pa.Table.from_pandas(frame, preserve_index=False),
    }[kind]()
    with pytest.warns(UserWarning, match=f"left out the column '{name}' of X.*rename it"):
        found = KMeans(2, random_state=0).fit(given)
    assert list(found.feature_names_in_) == NAMES
    with pytest.warns(UserWarning, match="left out"):
        found.predict(given)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*(left out|reset_index)")
        kept = KMeans(2, random_state=0).fit(frame.rename(columns={name: "row"}))
    assert list(kept.feature_names_in_) == ["row", *NAMES]


@pytest.mark.parametrize("name", ["index", "level_0"])
def test_a_column_that_may_be_an_index_stays_with_a_warning(name: str) -> None:
    counting, quantity = pandas_frame(), pandas_frame()
    counting.insert(0, name, np.arange(ROWS))
    quantity.insert(0, name, np.linspace(0, 1, ROWS))
    for frame in (counting, pl.from_pandas(counting), dd.from_pandas(counting, npartitions=2)):
        with pytest.warns(UserWarning, match=f"first column of X is '{name}', as reset_index"):
            found = KMeans(2, random_state=0).fit(frame)
        assert list(found.feature_names_in_) == [name, *NAMES]
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*(left out|reset_index)")
        assert KMeans(2, random_state=0).fit(quantity).n_features_in_ == 4
        later = pandas_frame().assign(**{name: np.arange(ROWS)})
        assert KMeans(2, random_state=0).fit(later).n_features_in_ == 4
        assert KMeans(2, random_state=0).fit(counting[[name]]).n_features_in_ == 1


# ---- LazyFrame


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary files of the test."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_query_is_computed_once_and_leaves_no_file(folder: Path) -> None:
    polars_frame().write_csv(folder / "x.csv")
    seen: list[int] = []

    def counted(frame: pl.DataFrame) -> pl.DataFrame:
        seen.append(frame.height)
        return frame

    query = pl.scan_csv(folder / "x.csv").map_batches(counted)
    found = GaussianMixture(2, random_state=0, max_iter=5).fit(query)
    assert sum(seen) == ROWS
    assert found.n_iter_ > 1
    assert [path.name for path in folder.iterdir()] == ["x.csv"]


def test_rows_of_a_query_keep_their_order(folder: Path) -> None:
    polars_frame().write_parquet(folder / "x.parquet", row_group_size=100)
    query = pl.scan_parquet(folder / "x.parquet").filter(pl.col("a") > -10).sort("b")
    found = KMeans(2, random_state=0).fit(query)
    same = KMeans(2, random_state=0).fit(query.collect())
    np.testing.assert_array_equal(found.labels_, same.labels_)
    assert found.cluster_centers_.tobytes() == same.cluster_centers_.tobytes()


def test_a_query_that_fails_says_why() -> None:
    query = pl.scan_parquet("no such file.parquet")
    with pytest.raises(DataError, match=r"polars query X failed: .*no such file"):
        KMeans(2).fit(query)
    with pytest.raises(DataError, match="empty: 0 sample"):
        KMeans(2).fit(lazy_frame().filter(pl.col("a") > 1e9))


def test_a_full_disk_names_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/dev/shm/does/not/exist")
    with pytest.raises(StorageError, match=r"folder of temporary files \(set TMPDIR\)"):
        KMeans(2).fit(lazy_frame())


def test_a_query_needs_the_threads_of_this_process() -> None:
    class Elsewhere:
        def map_reduce(self, *arguments: Any) -> Any:
            raise AssertionError("never asked")

    with pytest.raises(ConfigError, match=r"X\.sink_parquet.*emdist ingest x\.parquet x\.zarr"):
        KMeans(2, engine=Elsewhere()).fit(lazy_frame())


#: Fits 256 MB of rows of a query over Parquet, and prints by how many MB the process grew.
CEILING = """
import resource, sys
import polars as pl
from emdist import KMeans
from emdist.engines.threads import LocalEngine

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

query = pl.scan_parquet(sys.argv[1]).with_columns(pl.all() * 2)
settings = dict(n_clusters=4, max_iter=2, tol=1e9, random_state=0, engine=LocalEngine(1))
KMeans(**settings, block_size="4 MiB").fit(query.head(200_000))
before = peak()
est = KMeans(**settings, block_size="4 MiB").fit(query)
est.score(query)
print(peak() - before)
"""


@pytest.mark.long
def test_memory_of_a_query_stays_far_below_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    part = pl.DataFrame({f"c{i}": np.random.default_rng(i).normal(size=100_000) for i in range(16)})
    pl.concat([part] * 20).write_parquet(path, row_group_size=10_000)
    done = subprocess.run(
        [sys.executable, "-c", CEILING, str(path)], capture_output=True, text=True, timeout=120,
        check=False, env={**os.environ, "POLARS_MAX_THREADS": "2"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 128, "MB grown while fitting 256 MB"
