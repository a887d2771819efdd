"""`emdist label --select`: what it replaces of the selection that a model was fitted to."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import xarray as xr

from tests.support.command_line import Command


def test_the_advice_about_a_saved_selection_works(emdist: Command, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    ds = xr.Dataset(
        {"T": (("t", "y"), rng.normal(size=(30, 3)))}, {"t": np.arange(30.0), "y": [1.0, 2.0, 3.0]}
    )
    ds.to_zarr("old.zarr", consolidated=False)
    ds.assign_coords(t=ds["t"] + 500).to_zarr("new.zarr", consolidated=False)
    select = ("--select", "t=0:9", "--select", "y=1:2")
    done = emdist("fit", "old.zarr", "--features", "y", *select, "-k", 2, "--run", "runs/r")
    assert done.code == 0, done.err
    refused = emdist("label", "runs/r", "new.zarr", "labels.zarr")
    assert refused.code == 3
    told = " ".join(refused.err.split())
    assert "--select for t is [0, 9], but no value of t lies there" in told
    advice = re.search(r"To read all of t, pass (--select \S+=:)\.", told)
    assert advice is not None, told
    done = emdist("label", "runs/r", "new.zarr", "labels.zarr", *shlex.split(advice[1]))
    assert done.code == 0, done.err
    assert xr.open_zarr("labels.zarr").labels.sizes == {"t": 30}
