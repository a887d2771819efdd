"""A temporary folder for compiled kernels, where numba can write to none of its folders."""

from __future__ import annotations

import atexit
import functools
import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numba
from numba.core.caching import _CacheLocator

logger = logging.getLogger(__name__)


@functools.cache
def temporary() -> str:
    """Return a folder of this process, which contains what was compiled earlier.

    numba refuses to compile where it cannot write, even if everything is compiled: in a container
    with a read-only file system, say.
    """
    folder = tempfile.mkdtemp(prefix="emdist-kernels-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for source, name in _stored():
        target = Path(folder) / name
        target.mkdir(exist_ok=True)
        with suppress(OSError):
            shutil.copyfile(source, target / source.name)  # Not the mode, which may be read-only.
    if not any(Path(folder).iterdir()):
        logger.warning(
            "compiled kernels cannot be stored, so each process compiles them again. Set "
            "NUMBA_CACHE_DIR to a folder that can be written"
        )
    return folder


def _stored() -> Iterator[tuple[Path, str]]:
    """Yield the files with compiled kernels that can be read, and the folder that numba names."""
    for path in Path(__file__).parent.rglob("__pycache__/*.nb[ic]"):
        module = str(path.parent.parent / "module.py")
        yield path, _CacheLocator.get_suitable_cache_subpath(module)
    if numba.config.CACHE_DIR:  # Its files replace those of the same names.
        for path in Path(numba.config.CACHE_DIR).glob("*/*.nb[ic]"):
            yield path, path.parent.name


@contextmanager
def stored_in(folder: str) -> Iterator[None]:
    """Let numba store in `folder` what is decorated inside."""
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = folder
    try:
        yield
    finally:
        numba.config.CACHE_DIR = before
