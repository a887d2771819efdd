"""Preparing rows before they are clustered: steps, what they learn, and sources that apply them.

One step per file. The transformers with scikit-learn's names are here too. They are resolved on
first use, because they need scikit-learn and the estimators, which are of a higher layer; so are
modules of this package that are used as its attributes.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from emdist.runtime.submodules import on_first_use

if TYPE_CHECKING:
    from emdist.estimators.prepared_rows import PreparedRows
    from emdist.estimators.transformers import PCA, Log1p, Normalizer, StandardScaler
    from emdist.prepare import inverse as inverse
    from emdist.prepare import learning as learning
    from emdist.prepare import making as making
    from emdist.prepare import preparation as preparation
    from emdist.prepare import source as source

__all__ = ["PCA", "Log1p", "Normalizer", "PreparedRows", "StandardScaler"]

_WHERE = {
    "PCA": "emdist.estimators.transformers",
    "Log1p": "emdist.estimators.transformers",
    "Normalizer": "emdist.estimators.transformers",
    "StandardScaler": "emdist.estimators.transformers",
    "PreparedRows": "emdist.estimators.prepared_rows",
}


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    return on_first_use(__name__)(name)


def __dir__() -> list[str]:
    return sorted(__all__)
