"""Whatever holds the rows, the same rows give the same bits."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import zarr
from distributed import Client, LocalCluster
from numpy.typing import NDArray

from emdist import GaussianMixture, KMeans
from emdist.engines.threads import LocalEngine

Rows = NDArray[np.float64]

#: Exact in float16 and int8, so that every data type holds the same numbers.
WHOLE = np.round(np.random.default_rng(3).normal(size=(400, 3)) * 3) + np.repeat(
    np.array([[0, 0, 0], [40, -40, 20]]), 200, axis=0
)


def fits() -> list[Any]:
    return [KMeans(3, random_state=0), GaussianMixture(3, random_state=0)]


def bits(est: Any, x: Any, **fit: Any) -> list[bytes]:
    """All that a fit and a prediction decide."""
    est.fit(x, **fit)
    found = [est.predict(x)]
    if isinstance(est, KMeans):
        found += [est.cluster_centers_, est.labels_, est.transform(x), est.inertia_]
    else:
        found += [est.means_, est.covariances_, est.weights_, est.score_samples(x)]
        found += [est.predict_proba(x), est.lower_bound_, est.score(x)]
    return [np.asarray(value).tobytes() for value in found]


def strided(x: Rows) -> Rows:
    wide = np.zeros((2 * len(x), 2 * x.shape[1]))
    wide[::2, ::2] = x
    return wide[::2, ::2]


def read_only(x: Rows) -> Rows:
    copy = x.copy()
    copy.flags.writeable = False
    return copy


class Convertible:
    """Something that NumPy can make an array of."""

    def __init__(self, x: Rows) -> None:
        self._x = x

    def __array__(self, dtype: Any = None, copy: Any = None) -> Rows:
        return self._x


def in_memory(x: Rows) -> zarr.Array[Any]:
    array = zarr.create_array(zarr.storage.MemoryStore(), shape=x.shape, chunks=(70, 2), dtype="f8")
    array[:] = x
    return array


FORMS: dict[str, Callable[[Rows], Any]] = {
    "list": lambda x: x.tolist(),
    "tuples": lambda x: tuple(map(tuple, x)),
    "Fortran order": np.asfortranarray,
    "big-endian": lambda x: x.astype(">f8"),
    "long double": lambda x: x.astype(np.longdouble),
    "objects": lambda x: x.astype(object),
    "read-only": read_only,
    "strided": strided,
    "reversed": lambda x: x[::-1].copy()[::-1],
    "memoryview": lambda x: memoryview(np.ascontiguousarray(x)),
    "unmasked": np.ma.array,
    "convertible": Convertible,
    "dask": lambda x: da.from_array(x, chunks=(100, 3)),
    "dask, odd chunks": lambda x: da.from_array(x, chunks=((7, 193, len(x) - 200), (1, 2))),
    "Zarr in memory": in_memory,
}


@pytest.mark.parametrize("est", fits(), ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_bits(form: str, est: Any, x: Rows) -> None:
    assert bits(est, FORMS[form](x)) == bits(est, x)


@pytest.mark.parametrize("est", fits(), ids=lambda e: type(e).__name__)
def test_every_address_of_a_zarr_array_gives_the_same_bits(
    est: Any, x: Rows, stored: Path, tmp_path: Path
) -> None:
    sharded = zarr.create_array(
        tmp_path / "s.zarr", shape=x.shape, chunks=(50, 3), shards=(200, 3), dtype="f8"
    )
    sharded[:] = x
    group = zarr.open_group(tmp_path / "g.zarr", mode="w")
    inner = group.create_array("deep/x", shape=x.shape, chunks=(60, 3), dtype="f8")
    inner[:] = x
    wanted = bits(est, x)
    for address in (
        str(stored),
        stored,
        f"file://{stored}",
        zarr.open_array(stored, mode="r"),
        sharded,
        inner,
        tmp_path / "g.zarr" / "deep" / "x",
    ):
        assert bits(est, address) == wanted, address


@pytest.mark.parametrize("est", fits(), ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("dtype", ["f2", "f4", "i1", "i2", "i4", "i8", "u1", ">i4", ">f4"])
def test_every_number_type_gives_the_same_result(dtype: str, est: Any) -> None:
    x = WHOLE + 60 if dtype == "u1" else WHOLE
    typed = x.astype(dtype)
    assert np.array_equal(typed.astype(float), x)
    est.set_params(precision="float64")
    own = est.fit(typed)
    centres = own.cluster_centers_ if isinstance(own, KMeans) else own.means_
    labels = own.predict(typed)
    other = est.fit(x)
    wanted = other.cluster_centers_ if isinstance(other, KMeans) else other.means_
    assert np.allclose(centres, wanted, rtol=1e-10, atol=1e-9)
    assert np.array_equal(labels, other.predict(x))


@pytest.mark.parametrize("est", fits(), ids=lambda e: type(e).__name__)
def test_booleans_are_numbers(est: Any, x: Rows) -> None:
    assert bits(est, x > 1) == bits(est, (x > 1).astype(np.uint8))


@pytest.mark.parametrize("dtype", ["i4", "i8", "?", "f2", ">f8"])
def test_dask_and_numpy_read_a_number_type_alike(dtype: str) -> None:
    typed = WHOLE.astype(dtype)
    for est in fits():
        assert bits(est, da.from_array(typed, chunks=(100, 3))) == bits(est, typed)


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=2, processes=False, dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster) as connected,
    ):
        yield connected


@pytest.mark.parametrize("est", fits(), ids=lambda e: type(e).__name__)
def test_every_engine_gives_the_same_bits(est: Any, x: Rows, stored: Path, client: Client) -> None:
    est.set_params(block_size="3 kB")  # one chunk: six blocks
    wanted = bits(est, stored)
    for engine in (LocalEngine(1), LocalEngine(5), client):
        est.set_params(engine=engine)
        assert bits(est, stored) == wanted, engine
    assert bits(est, x) != []


def test_a_numpy_array_on_a_cluster(x: Rows, client: Client) -> None:
    for est in fits():
        wanted = bits(est, x)
        assert bits(est.set_params(engine=client), x) == wanted


def test_a_large_numpy_array_is_not_sent_to_a_cluster(client: Client) -> None:
    x = np.broadcast_to(np.zeros(1), (1 << 20, 40))
    with pytest.raises(ValueError, match=r"320 MiB.*Store it as Zarr"):
        KMeans(2, engine=client).fit(x)


def test_blocks_change_nothing_but_rounding(x: Rows) -> None:
    whole = GaussianMixture(3, random_state=0).fit(x)
    cut = GaussianMixture(3, random_state=0, block_size="1 kB").fit(x)
    assert np.allclose(whole.means_, cut.means_, rtol=1e-10)
    assert np.allclose(whole.covariances_, cut.covariances_, rtol=1e-10)


def test_labels_of_stored_data_are_computed_when_asked_for(
    stored: Path, x: Rows, reads: list[int]
) -> None:
    est = KMeans(3, random_state=0, block_size="3 kB").fit(stored)
    before = len(reads)
    assert len(est.labels_) == len(x)
    assert len(reads) == before + 6
    assert est.labels_ is est.labels_
    assert len(reads) == before + 6
    assert np.array_equal(est.labels_, est.predict(x))


def test_labels_of_data_in_memory_do_not_follow_its_changes(x: Rows) -> None:
    est = KMeans(3, random_state=0).fit(x)
    wanted = est.predict(x)
    x[:] = 0
    assert np.array_equal(est.labels_, wanted)


def test_a_path_is_read_block_by_block(stored: Path, reads: list[int]) -> None:
    est = GaussianMixture(3, random_state=0, block_size="3 kB").fit(stored)
    assert sorted(set(reads)) == list(range(6))
    before = len(reads)
    est.score(stored)
    assert len(reads) == before + 6


_CEILING = """
import resource, sys
import numpy as np
from emdist import KMeans
from emdist.engines.threads import LocalEngine

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

settings = dict(n_clusters=4, max_iter=2, tol=1e9, random_state=0, block_size="4 MiB",
                cache="off")
KMeans(**settings).fit(np.random.default_rng(0).normal(size=(9000, 16)).astype("f4"))
before = peak()
est = KMeans(**settings, engine=LocalEngine(1)).fit(sys.argv[1])
est.score(sys.argv[1])
print(peak() - before)
"""


@pytest.mark.long
def test_memory_stays_far_below_the_data(tmp_path: Path) -> None:
    rows = 2_000_000  # 128 MB
    array = zarr.create_array(
        tmp_path / "x.zarr", shape=(rows, 16), chunks=(50_000, 16), dtype="f4", compressors=None
    )
    part = np.random.default_rng(0).standard_normal((50_000, 16), dtype="f4")
    for start in range(0, rows, 50_000):
        array[start : start + 50_000] = part + start % 7
    command = [sys.executable, "-c", _CEILING, str(tmp_path / "x.zarr")]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert found.returncode == 0, found.stderr
    assert float(found.stdout) < 64, "MB grown while fitting 128 MB in blocks of 4 MiB"


def test_weights_from_everywhere(x: Rows, stored: Path, tmp_path: Path) -> None:
    weight = np.random.default_rng(1).integers(1, 4, len(x)).astype(float)
    beside = zarr.create_array(tmp_path / "w.zarr", shape=weight.shape, chunks=(100,), dtype="f8")
    beside[:] = weight
    for est in fits():
        wanted = bits(est, x, sample_weight=weight)
        assert wanted != bits(est, x)
        for data, given in (
            (x, weight.tolist()),
            (x, weight.astype(int)),
            (stored, weight),
            (stored, tmp_path / "w.zarr"),
            (str(stored), str(tmp_path / "w.zarr")),
            (stored, beside),
            (da.from_array(x, chunks=(100, 3)), weight),
        ):
            assert bits(est, data, sample_weight=given) == wanted


def test_rows_that_are_not_finite_can_be_left_out(x: Rows, tmp_path: Path) -> None:
    holed = x.copy()
    holed[[5, 77], [0, 2]] = np.nan, np.inf
    kept = np.delete(x, [5, 77], axis=0)
    array = zarr.create_array(tmp_path / "h.zarr", shape=x.shape, chunks=(100, 3), dtype="f8")
    array[:] = holed
    for data in (holed, array):
        est = GaussianMixture(3, random_state=0, means_init=x[:3], non_finite="drop").fit(data)
        plain = GaussianMixture(3, random_state=0, means_init=x[:3]).fit(kept)
        assert np.allclose(est.means_, plain.means_, rtol=1e-10)
        assert np.array_equal(est.predict(data), plain.predict(kept))


def test_chunks_that_were_never_written(x: Rows, tmp_path: Path) -> None:
    array = zarr.create_array(tmp_path / "m.zarr", shape=(700, 3), chunks=(100, 3), dtype="f8")
    array[:600] = x
    with pytest.raises(ValueError, match="never written"):
        KMeans(3).fit(array)
    dropped = KMeans(3, init=x[:3], missing_chunks="drop").fit(array)
    assert np.allclose(dropped.cluster_centers_, KMeans(3, init=x[:3]).fit(x).cluster_centers_)
    filled = KMeans(3, init=x[:3], missing_chunks="fill").fit(array)
    whole = np.concatenate([x, np.zeros((100, 3))])
    assert np.allclose(filled.cluster_centers_, KMeans(3, init=x[:3]).fit(whole).cluster_centers_)


def test_chunks_that_do_not_decode(x: Rows, tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "c.zarr", data=x, chunks=(100, 3))
    (tmp_path / "c.zarr" / "c" / "2" / "0").write_bytes(b"torn")
    kept = np.delete(x, np.s_[200:300], axis=0)
    for cls in (KMeans, GaussianMixture):
        with pytest.raises(ValueError, match="set corrupt_chunks to 'drop'"):
            cls(3).fit(tmp_path / "c.zarr")
    est = KMeans(3, init=x[:3], corrupt_chunks="drop").fit(tmp_path / "c.zarr")
    same = KMeans(3, init=x[:3]).fit(kept)
    assert np.allclose(est.cluster_centers_, same.cluster_centers_)
    assert np.array_equal(est.predict(tmp_path / "c.zarr"), same.labels_)
