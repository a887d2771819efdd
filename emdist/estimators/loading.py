"""Back from a folder to an estimator."""

from __future__ import annotations

import os

from emdist.build import load_fitted
from emdist.config import ModelSection
from emdist.errors import ConfigError
from emdist.estimators.base import Estimator
from emdist.plugins import plugins
from emdist.store.location import Location


def load(path: str | os.PathLike[str]) -> Estimator:
    """The estimator that `save` stored at `path`, or that of a finished run's folder.

    Raises
    ------
    NotFoundError
        If there is no model.
    CheckpointError
        If it is damaged.
    """
    section, fitted, meta = load_fitted(Location(os.fspath(path)))
    estimator = _empty(section)
    known = estimator.get_params()
    stored = meta.get("params")
    if isinstance(stored, dict):
        estimator.set_params(**{k: v for k, v in stored.items() if k in known})
    estimator._adopt(fitted, section)
    return estimator


def _empty(section: ModelSection) -> Estimator:
    for cls in plugins("emdist.estimators", "estimator").values():
        if cls.fits(section):
            found: Estimator = cls.from_section(section)
            return found
    raise ConfigError(
        f"A model of the family {section.name!r} has no estimator; label data with it by "
        "`emdist label`."
    )
