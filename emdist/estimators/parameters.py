"""How constructors are made: each parameter is declared once, as a field, and inherited."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(eq_default=False)
def parameters(*first: str) -> Callable[[type[T]], type[T]]:
    """Give a class a constructor that keeps its parameters, ``name: type = default``, as given.

    Those of its bases are among them, and all are keywords but what stands before a ``KW_ONLY``. It
    is a plain ``__init__`` with a signature, as scikit-learn and type checkers want it. Of all else
    that dataclasses are nothing is wanted: an estimator is equal to itself alone.

    `first` are keywords that the signature shows first, in scikit-learn's order; then come the
    class's own, and then those of its bases.
    """

    def made(cls: type[T]) -> type[T]:
        found = dataclass(eq=False, repr=False, match_args=False)(cls)
        init: Any = found.__init__
        init.__signature__ = _ordered(found, inspect.signature(init), first)
        return found

    return made


def _ordered(cls: type, signature: inspect.Signature, first: tuple[str, ...]) -> inspect.Signature:
    near = [name for base in cls.__mro__ for name in inspect.get_annotations(base)]
    wanted = [*first, *near]
    found = sorted(
        signature.parameters.values(),
        key=lambda one: (
            one.kind,
            wanted.index(one.name) if one.kind is one.KEYWORD_ONLY else 0,
        ),
    )
    return signature.replace(parameters=found)
