"""``emdist warmup``: compiles kernels ahead of time, for images of containers."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from emdist.errors import ConfigError
from emdist.report.answer import REPEAT, reported

#: The types of rows for which kernels are compiled by default.
_DTYPES = ("float32", "float64")


def warmup(
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            metavar="NAME",
            help="Model whose kernels are compiled. Repeatable. (default: all models)",
        ),
    ] = None,
    dtypes: Annotated[
        list[str] | None,
        typer.Option(
            "--dtype",
            metavar="TYPE",
            help="Type of the stored rows, such as float32 or uint8. Repeatable. (default: float32 "
            "and float64)",
        ),
    ] = None,
) -> None:
    """Compile kernels for this processor, so that no fit has to.

    Without it, the first fit of each kind of model compiles what it needs, which takes seconds. The
    compiled kernels lie beside the package, or in the folder NUMBA_CACHE_DIR. They serve all
    processors of the same kind.

    Examples:
      emdist warmup
      emdist warmup -m kmeans -m full --dtype float32
    """
    with reported(False, REPEAT):
        import numpy as np

        from emdist.jobs.warming import known_models, warm_model
        from emdist.report.lines import say

        known = known_models()
        for name in models or ():
            if name not in known:
                raise ConfigError(f"--model is {name!r}, expected one of {', '.join(known)}.")
        for name in models or known:
            for dtype in dtypes or _DTYPES:
                try:
                    kind = np.dtype(dtype)
                except TypeError:
                    raise ConfigError(
                        f"--dtype is {dtype!r}, expected a type such as float32."
                    ) from None
                began = time.monotonic()
                done = warm_model(name, kind)
                took = f"{time.monotonic() - began:.1f} s" if done else "not possible for such rows"
                say(f"{name}, {dtype}: {took}")
