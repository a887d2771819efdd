"""Gives compiled kernels to the workers of a cluster."""

from __future__ import annotations

import logging

from distributed import Client

from emdist.engines.dask.faults import answering
from emdist.engines.dask.packages import on_workers
from emdist.errors import EngineError
from emdist.kernels.compiled import install

logger = logging.getLogger(__name__)


def give_kernels(client: Client, code: bytes) -> None:
    """Put compiled kernels into the caches of the present workers.

    A worker that does not get them compiles, so that failures are no errors.
    """
    try:
        asked, _ = answering(client)
        told = on_workers(client, asked, install, code)
    except EngineError as error:
        logger.info("workers compile their own kernels: %s", error)
        return
    for worker, found in told.items():
        if isinstance(found, BaseException):
            logger.info("the worker at %s compiles its own kernels: %s", worker, found)
