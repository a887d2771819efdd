"""Dask arrays and clusters as users hand them over: checked chunk by chunk, fitted in place."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from distributed import Client, LocalCluster, wait
from numpy.typing import NDArray
from sklearn.base import clone

import emdist
from emdist import GaussianMixture, KMeans, Sweep
from emdist.engines.clusters.by_class import ByClass
from emdist.engines.dask.engine import DaskEngine
from emdist.engines.dask.faults import ask
from emdist.engines.dask.persisted import near
from emdist.engines.dask.placement import choose
from emdist.errors import (
    ConfigError,
    DataError,
    DtypeError,
    EmdistError,
    NotAnArrayError,
    ShapeError,
)

Rows = NDArray[np.float64]


def rows(n: int = 2002) -> Rows:
    return np.random.default_rng(5).normal(size=(n, 3)) + 9.0 * (np.arange(n)[:, None] % 2)


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
    ) as found:
        yield found


@pytest.fixture(scope="module")
def client(cluster: LocalCluster) -> Iterator[Client]:
    with Client(cluster) as found:
        yield found


@pytest.fixture(params=["threads", "dask"])
def engine(request: pytest.FixtureRequest) -> Any:
    return None if request.param == "threads" else request.getfixturevalue("client")


def declared(x: Rows, change: Callable[[Rows], Any], **declaration: Any) -> da.Array:
    """A Dask array of chunks of 1001 rows that `change` makes others of."""
    return da.from_array(x, chunks=(1001, 3)).map_blocks(change, **declaration)


# What differs from its declaration.


def second(change: Callable[[Rows], Any]) -> Callable[[Rows, Any], Any]:
    """`change` in the second chunk alone."""

    def changed(x: Rows, block_id: Any = None) -> Any:
        return change(x) if block_id[0] == 1 else x

    return changed


def test_a_chunk_of_another_type_is_refused_by_name(engine: Any) -> None:
    x = rows() * 0.08
    lying = da.from_array(x, chunks=(1001, 3)).map_blocks(lambda b: b, dtype="uint8")
    with pytest.raises(DtypeError, match=r"chunk \(0, 0\).*float64.*declares uint8.*right dtype"):
        KMeans(2, random_state=0, engine=engine).fit(lying)
    told = lying.map_blocks(lambda b: b, dtype="float64")  # the advice
    found = KMeans(2, random_state=0, engine=engine).fit(told)
    plain = KMeans(2, random_state=0, engine=engine).fit(da.from_array(x, chunks=(1001, 3)))
    assert np.array_equal(found.cluster_centers_, plain.cluster_centers_)


@pytest.mark.parametrize(
    "change",
    [lambda x: x[:501], lambda x: x[:, :2], lambda x: x[0], lambda x: np.vstack([x, x])],
    ids=["fewer rows", "fewer columns", "one row", "more rows"],
)
def test_a_chunk_of_another_shape_is_refused_by_name(engine: Any, change: Any) -> None:
    lying = declared(rows(), second(change), dtype="f8")
    for call in (KMeans(2, engine=engine).fit, GaussianMixture(2, engine=engine).fit):
        with pytest.raises(ShapeError, match=r"chunk \(1, 0\).*rows 1001\.\.2001.*\(1001, 3\)"):
            call(lying)


def test_rows_that_stand_in_the_wrong_chunk_are_refused() -> None:
    x = rows()
    parts = [
        da.from_delayed(dask.delayed(x[a:b]), (1001, 3), "f8") for a, b in ((0, 1000), (1000, 2002))
    ]
    with pytest.raises(ShapeError, match=r"chunk \(0, 0\).*shape \(1000, 3\)"):
        KMeans(2).fit(da.concatenate(parts))


def test_the_advice_for_wrong_shapes_works() -> None:
    lying = declared(rows(), lambda x: x[:501], dtype="f8")
    with pytest.raises(ShapeError, match=r"X\.compute_chunk_sizes\(\)"):
        KMeans(2, random_state=0).fit(lying)
    found = KMeans(2, random_state=0).fit(lying.compute_chunk_sizes())
    assert len(found.labels_) == 1002


def test_predictions_are_held_to_the_declaration_too() -> None:
    est = KMeans(2, random_state=0).fit(rows())
    with pytest.raises(ShapeError, match="chunk"):
        est.predict(declared(rows(), second(lambda x: x[:501]), dtype="f8"))


@pytest.mark.parametrize("dtype", ["f4", "i4", "u1", "?"])
def test_a_chunk_that_its_declaration_can_hold_has_its_values(dtype: str) -> None:
    x = (rows() > 4).astype(dtype)
    wide = da.from_array(x, chunks=(1001, 3)).map_blocks(lambda b: b, dtype="f8")
    found = KMeans(2, random_state=0).fit(wide)
    plain = KMeans(2, random_state=0).fit(da.from_array(x.astype("f8"), chunks=(1001, 3)))
    assert np.array_equal(found.cluster_centers_, plain.cluster_centers_)


def test_masked_and_other_chunks_are_refused() -> None:
    masked = declared(rows(), second(lambda x: np.ma.masked_greater(x, 10)), dtype="f8")
    with pytest.raises(DtypeError, match=r"chunk \(1, 0\).*masked value.*numpy\.ma\.filled"):
        KMeans(2).fit(masked)
    filled = masked.map_blocks(np.ma.filled, np.nan)  # the advice
    with pytest.raises(DataError, match="NaN"):
        KMeans(2).fit(filled)
    lists = declared(rows(), second(lambda x: x.tolist()), dtype="f8")
    with pytest.raises(DtypeError, match=r"chunk \(1, 0\).*is a list"):
        KMeans(2).fit(lists)
    assert len(KMeans(2).fit(lists.map_blocks(np.asarray, dtype="float64")).labels_) == 2002
    unmasked = declared(rows(), np.ma.array, dtype="f8", meta=np.empty((0, 0)))
    assert len(KMeans(2).fit(unmasked).labels_) == 2002


def test_chunks_of_unknown_size_are_refused_and_the_advice_works() -> None:
    x = da.from_array(rows(), chunks=(1001, 3))
    unknown = x[x[:, 0] > 4]
    with pytest.raises(ShapeError, match=r"compute_chunk_sizes\(\)"):
        KMeans(2).fit(unknown)
    found = KMeans(2, random_state=0).fit(unknown.compute_chunk_sizes())
    assert len(found.labels_) == int((rows()[:, 0] > 4).sum())


# What changes from pass to pass.


def unseeded(x: Rows) -> Rows:
    return x + np.random.default_rng().normal(size=x.shape)


@pytest.mark.parametrize("est", [KMeans(2), GaussianMixture(2)], ids=lambda e: type(e).__name__)
def test_random_numbers_that_change_are_told(engine: Any, est: Any) -> None:
    x = declared(rows(), unseeded, dtype="f8")
    with pytest.raises(DataError, match=r"changed between two passes: block .*persist") as told:
        est.set_params(engine=engine, random_state=0).fit(x)
    assert "report" not in str(told.value)
    assert len(str(told.value)) < 600


def test_random_numbers_that_stay_are_fitted(client: Client) -> None:
    seeded = da.random.default_rng(3).normal(size=(2002, 3), chunks=(1001, 3))
    wanted = KMeans(2, random_state=0).fit(seeded.compute())
    assert np.allclose(
        KMeans(2, random_state=0).fit(seeded).cluster_centers_, wanted.cluster_centers_
    )
    kept = declared(rows(), unseeded, dtype="f8").persist()  # the advice
    found = KMeans(2, random_state=0, engine=client).fit(kept)
    same = KMeans(2, random_state=0).fit(kept.compute())
    assert np.allclose(found.cluster_centers_, same.cluster_centers_)


def test_labels_of_an_array_that_changed_after_the_fit_are_refused() -> None:
    values = rows()
    est = KMeans(2, random_state=0).fit(declared(rows(), lambda b: b + values[0, 0], dtype="f8"))
    values[0, 0] += 1
    with pytest.raises(DataError, match="changed between two passes"):
        est.labels_  # noqa: B018


# Persisted arrays.


@pytest.mark.parametrize("columns", [3, 1])
def test_a_persisted_array_has_the_bits_of_the_array(client: Client, columns: int) -> None:
    x = da.from_array(rows(), chunks=(91, columns))
    lying = x.persist()
    for est in (KMeans(2, random_state=0), GaussianMixture(2, random_state=0)):
        wanted = est.set_params(engine=client).fit(x).predict(x)
        centres = getattr(est, "cluster_centers_", None)
        centres = est.means_ if centres is None else centres
        found = clone(est).fit(lying)
        same = getattr(found, "cluster_centers_", None)
        assert np.array_equal(found.means_ if same is None else same, centres)
        assert np.array_equal(found.predict(lying), wanted)


def test_what_is_made_from_a_persisted_array(client: Client) -> None:
    lying = da.from_array(rows(), chunks=(500, 3)).persist()
    scaled = (lying - lying.mean(axis=0)) / lying.std(axis=0)
    found = KMeans(2, random_state=0, engine=client).fit(scaled)
    x = rows()
    plain = KMeans(2, random_state=0).fit((x - x.mean(axis=0)) / x.std(axis=0))
    assert np.allclose(found.cluster_centers_, plain.cluster_centers_)
    weights = da.ones(2002, chunks=500).persist()
    assert KMeans(2, engine=client).fit(lying, sample_weight=weights).inertia_ > 0


def test_starts_and_sweeps_share_the_reads_of_a_persisted_array(client: Client) -> None:
    lying = da.from_array(rows(), chunks=(500, 3)).persist()
    found = Sweep(KMeans(random_state=0, n_init=2, engine=client), {"n_clusters": [2, 3, 4]}).fit(
        lying
    )
    plain = Sweep(KMeans(random_state=0, n_init=2), {"n_clusters": [2, 3, 4]}).fit(
        da.from_array(rows(), chunks=(500, 3))
    )
    assert np.array_equal(found.results_["objective"], plain.results_["objective"])


def test_nothing_but_the_array_is_left_on_the_cluster(
    client: Client, cluster: LocalCluster
) -> None:
    lying = da.from_array(rows(), chunks=(500, 3)).persist()
    est = KMeans(2, random_state=0, engine=client).fit(lying)
    est.predict(lying)
    kept = {str(key) for key in cluster.scheduler.tasks}
    assert {str(key) for key in lying.__dask_keys__()[0]} <= kept
    assert not [key for key in kept if "Survey" in key or "EStep" in key or "join" in key]


def test_blocks_go_to_where_their_chunks_lie(client: Client) -> None:
    lying = da.from_array(rows(), chunks=(91, 3)).persist()
    wait(lying)
    keys = [keys[0] for keys in lying.__dask_keys__()]
    holders = ask(client, "who_has", keys=keys)
    threads = ask(client, "ncores", workers=None)
    elsewhere = choose("leaf", tuple(range(len(keys))), threads, set())
    index = near(client, elsewhere, [(key,) for key in keys])
    assert [elsewhere.workers[w] for w in index] == [holders[key][0] for key in keys]
    assert len(set(index.tolist())) == 2


def test_a_persisted_array_is_refused_elsewhere(client: Client) -> None:
    lying = da.from_array(rows(), chunks=(500, 3)).persist()
    with pytest.raises(ConfigError, match=r"threads of this process.*engine=client"):
        KMeans(2).fit(lying)
    with (
        LocalCluster(n_workers=1, processes=False, dashboard_address="127.0.0.1:0") as other,
        Client(other, set_as_default=False) as elsewhere,
        pytest.raises(ConfigError, match=r"persisted on the cluster at .* on the one at"),
    ):
        KMeans(2, engine=elsewhere).fit(lying)


def test_a_persisted_array_whose_cluster_is_gone() -> None:
    with (
        LocalCluster(n_workers=1, processes=False, dashboard_address="127.0.0.1:0") as own,
        Client(own) as connected,
    ):
        lying = connected.persist(da.from_array(rows(), chunks=(500, 3)))
    with pytest.raises(ConfigError, match="Persist the original array again"):
        KMeans(2).fit(lying)


def test_an_array_persisted_on_threads_is_data_in_memory() -> None:
    with dask.config.set(scheduler="threads"):
        lying = da.from_array(rows(), chunks=(500, 3)).persist()
    assert len(KMeans(2).fit(lying).labels_) == 2002


# Clusters as engines.


def test_a_cluster_is_taken_for_its_client(cluster: LocalCluster) -> None:
    x = rows()
    est = KMeans(2, random_state=0, engine=cluster)
    found = est.fit(x)
    assert np.array_equal(found.cluster_centers_, KMeans(2, random_state=0).fit(x).cluster_centers_)
    assert clone(est).engine is cluster
    assert pickle.loads(pickle.dumps(est)).engine is None
    assert len(found.predict(x)) == 2002


def test_closed_clients_and_clusters_are_named() -> None:
    with LocalCluster(n_workers=1, processes=False, dashboard_address="127.0.0.1:0") as own:
        connected = Client(own)
        connected.close()
        with pytest.raises(ConfigError, match="engine is a Client that is closed") as told:
            KMeans(2, engine=connected).fit(rows())
    with pytest.raises(ConfigError, match="engine is a LocalCluster that is closed"):
        KMeans(2, engine=own).fit(rows())
    assert not any(word in str(told.value) for word in ("checkpoint", "same run"))


@pytest.mark.parametrize(
    "engine", [LocalCluster, Client, "tcp://127.0.0.1:1", 5, object()], ids=lambda e: str(e)[:9]
)
def test_what_is_no_engine(engine: Any) -> None:
    with pytest.raises(ConfigError, match="engine="):
        KMeans(2, engine=engine).fit(rows())


def test_a_cluster_that_adapts_from_zero() -> None:
    with LocalCluster(
        n_workers=0, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
    ) as adapting:
        adapting.adapt(minimum=0, maximum=1, interval="20ms")
        with Client(adapting) as connected:
            assert not connected.nthreads()
            engine = DaskEngine(connected, workers_timeout=30)
            found = KMeans(2, random_state=0, engine=engine).fit(rows())
    plain = KMeans(2, random_state=0).fit(rows())
    assert np.array_equal(found.cluster_centers_, plain.cluster_centers_)


def test_a_configured_cluster_that_adapts_from_zero() -> None:
    kind = ByClass(
        "dask.distributed.LocalCluster",
        {"n_workers": 0, "processes": False, "dashboard_address": "127.0.0.1:0"},
        {"minimum": 0, "maximum": 1, "interval": "20ms"},
        timeout=30,
    )
    with kind.open() as connected:
        assert connected.nthreads()


def test_a_cluster_that_never_has_a_worker_is_told() -> None:
    with (
        LocalCluster(n_workers=0, processes=False, dashboard_address="127.0.0.1:0") as none,
        Client(none) as connected,
        pytest.raises(EmdistError, match=r"no workers for 0.2 s"),
    ):
        KMeans(2, engine=DaskEngine(connected, workers_timeout=0.2)).fit(rows())


@pytest.mark.parametrize("features", [(), ("t",), ("t", "z")])
def test_the_advice_for_persisted_variables_works(
    client: Client, tmp_path: Path, features: Any
) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(3, 2, 8, 10)) + np.repeat([0, 9], 4)[:, None]
    ds = xr.Dataset({"T": (("t", "z", "y", "x"), values)}).chunk({"y": 4, "x": 5})
    said = {"features": features} if features else {"samples": ds["T"].dims}
    want = KMeans(2, random_state=0).fit(emdist.rows(ds, "T", **said)).inertia_
    dataset = ds.persist()
    with pytest.raises(NotAnArrayError, match="T is persisted on a Dask cluster") as told:
        KMeans(2, engine=client).fit(emdist.rows(dataset, "T", **said))
    code = re.search(r"Pass X=(.*) with engine=client", str(told.value))
    assert code is not None
    X = eval(code[1], {"dataset": dataset})
    found = KMeans(2, random_state=0, engine=client).fit(X)
    assert found.inertia_ == pytest.approx(want, rel=1e-9)
    dataset.to_zarr(tmp_path / "stored.zarr", consolidated=False)  # the other advice
    stored = emdist.rows(tmp_path / "stored.zarr", "T", **said)
    assert KMeans(2, random_state=0).fit(stored).inertia_ == pytest.approx(want, rel=1e-9)
