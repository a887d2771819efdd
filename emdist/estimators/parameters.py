"""How constructors are made: each parameter is declared once, as a field, and inherited."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(eq_default=False)
def parameters(cls: type[T]) -> type[T]:
    """`cls` with a constructor that keeps its parameters, ``name: type = default``, as given.

    Those of its bases are among them, keywords all but what stands before a ``KW_ONLY``. It is a
    plain ``__init__`` with a signature, as scikit-learn and type checkers want it; of all else
    that dataclasses are, nothing is wanted: an estimator is equal to itself alone.
    """
    return dataclass(eq=False, repr=False, match_args=False)(cls)
