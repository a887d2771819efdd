"""`parameters`, a decorator: makes constructors from parameters that are declared as fields."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(eq_default=False)
def parameters(*first: str) -> Callable[[type[T]], type[T]]:
    """Give a class a constructor that stores its parameters, ``name: type = default``, as given.

    The constructor also takes the parameters of the base classes. All are keywords, except those
    before a ``KW_ONLY``. It is a plain ``__init__`` with a signature, which scikit-learn and type
    checkers need. The other methods of dataclasses are not generated: an estimator equals only
    itself.

    The signature shows the keywords `first` before all others, in scikit-learn's order, then the
    parameters of the class, then those of its bases.
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
