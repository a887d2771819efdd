"""Data made like real ones, for the pages docs/ocean.md and docs/raster.md: variables on a grid.

The ocean has three water masses that meet at fronts, eddies, and land; temperature is packed as
16-bit integers. The scene has six bands of a satellite, with fields, a forest, a lake and a town,
pixels without data, and a coordinate reference system.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

#: Names of the six bands: blue, green, red, near infrared, and two of short-wave infrared.
BANDS = ("B02", "B03", "B04", "B08", "B11", "B12")
#: Reflectance in each band, times 10,000: water, forest, crops, bare soil, town.
SPECTRA = np.array(
    [
        [600, 550, 350, 200, 100, 80],
        [300, 500, 350, 2800, 1400, 700],
        [500, 900, 600, 4200, 2200, 1300],
        [1100, 1500, 2000, 2700, 3400, 2900],
        [1600, 1700, 1800, 2100, 2300, 2200],
    ]
)


def ocean(path: str | Path, times: int = 4, lats: int = 60, lons: int = 120) -> None:
    """Write a Zarr group with ``TEMP``, ``PSAL`` and ``land`` to `path`.

    Parameters
    ----------
    path
        Where to write it.
    times, lats, lons
        The size of the grid; there are 20 depths.
    """
    import xarray as xr

    rng = np.random.default_rng(7)
    depth = np.array([0, 5, 10, 20, 30, 50, 75, 100, 125, 150, 200, 250, 300, 400, 500, 600, 700,
                      800, 900, 1000.0])  # fmt: skip
    lat, lon = np.linspace(-75, 75, lats), np.linspace(-180, 177, lons)
    shape = (times, lats, lons)
    wander = gaussian_filter(rng.normal(size=shape), (0.5, 2, 4), mode="wrap")
    front = lat[None, :, None] + 25 * wander / wander.std() / 2
    warm = 1 / (1 + np.exp((np.abs(front) - 35) / 3))  # subtropical water
    polar = 1 / (1 + np.exp(-(np.abs(front) - 55) / 2))  # polar water
    eddies = gaussian_filter(rng.normal(size=shape), (0.3, 1, 1.5), mode="wrap")
    eddies /= eddies.std()
    below = depth[None, :, None, None]
    surface = (2 + 24 * warm - 4 * polar + 0.7 * eddies)[:, None]
    deep = 3.0 + rng.normal(0, 0.1, (times, 1, lats, lons))
    thermocline = 120 + 180 * warm[:, None] + 15 * eddies[:, None]
    temp = deep + (surface - deep) * np.exp(-((below / thermocline) ** 1.3))
    salt = 34.6 + (1.6 * warm - 1.2 * polar + 0.08 * eddies)[:, None] * np.exp(-below / 250)
    temp += rng.normal(0, 0.05, temp.shape)
    salt += rng.normal(0, 0.01, salt.shape)
    land = gaussian_filter(rng.normal(size=(lats, lons)), (4, 7), mode="wrap")
    land = land > np.quantile(land, 0.72)
    temp[:, :, land] = salt[:, :, land] = np.nan
    dims = ("time", "depth", "lat", "lon")
    ds = xr.Dataset(
        {
            "TEMP": (dims, temp, {"units": "degree_Celsius", "long_name": "temperature"}),
            "PSAL": (dims, salt.astype("f4"), {"units": "1e-3", "long_name": "salinity"}),
            "land": (("lat", "lon"), land.astype("i1"), {"long_name": "1 on land, 0 at sea"}),
        },
        coords={
            "time": np.datetime64("2025-01-15", "ns") + np.timedelta64(91, "D") * np.arange(times),
            "depth": ("depth", depth, {"units": "m", "positive": "down"}),
            "lat": ("lat", lat, {"units": "degrees_north", "standard_name": "latitude"}),
            "lon": ("lon", lon, {"units": "degrees_east", "standard_name": "longitude"}),
        },
    )
    chunks = (1, 10, lats // 2, lons // 2)
    packed = {"dtype": "i2", "scale_factor": 0.001, "add_offset": 15.0, "_FillValue": -32768}
    encoding: dict[str, Any] = {"TEMP": {**packed, "chunks": chunks}, "PSAL": {"chunks": chunks}}
    ds.to_zarr(path, mode="w", encoding=encoding, consolidated=False)


def scene(path: str | Path, size: int = 300) -> None:
    """Write a Zarr group with one array for each of `BANDS` to `path`: `size` x `size` pixels."""
    import xarray as xr

    rng = np.random.default_rng(3)
    land = gaussian_filter(rng.normal(size=(size, size)), size / 18)
    land = (land - land.mean()) / land.std()
    kind = np.full((size, size), 1)
    plots = rng.integers(2, 4, (size // 15 + 1, size // 15 + 1)).repeat(15, 0).repeat(15, 1)
    fields = np.abs(land) < 0.7
    kind[fields] = plots[:size, :size][fields]
    kind[land < -0.9] = 0
    y, x = np.mgrid[:size, :size] / size
    kind[(x - 0.7) ** 2 + (y - 0.35) ** 2 < 0.012] = 4
    shade = 1 + 0.08 * gaussian_filter(rng.normal(size=(size, size)), 3) / 0.1
    cube = SPECTRA[kind] * shade[..., None] + rng.normal(0, 45, (size, size, len(BANDS)))
    cube = np.clip(cube, 1, 10_000).astype("u2")
    cube[(x + 0.25 * y) < 0.12] = 0  # outside of the swath
    metres = 20.0
    grid = {
        "crs_wkt": 'PROJCS["WGS 84 / UTM zone 32N"]',
        "spatial_ref": "EPSG:32632",
        "GeoTransform": f"500000 {metres} 0 5400000 0 -{metres}",
    }
    ds = xr.Dataset(
        {
            name: (("y", "x"), cube[..., i], {"grid_mapping": "spatial_ref"})
            for i, name in enumerate(BANDS)
        },
        coords={
            "y": ("y", 5_400_000 - metres * (np.arange(size) + 0.5), {"units": "m"}),
            "x": ("x", 500_000 + metres * (np.arange(size) + 0.5), {"units": "m"}),
            "spatial_ref": ((), 0, grid),
        },
    )
    encoding = {name: {"_FillValue": 0, "chunks": (100, 100)} for name in BANDS}
    ds.to_zarr(path, mode="w", encoding=encoding, consolidated=False)
