"""Fitted attributes: set by a fit alone, read-only for users."""

from __future__ import annotations

import inspect
from functools import lru_cache
from typing import Any, Generic, NoReturn, Self, TypeVar, overload

import numpy as np

from emdist.estimators.wording import Speaking

T = TypeVar("T")


class Learned(Generic[T]):
    """A fitted attribute of a class with `Learning`: read as any other, refused to be assigned.

    `predict` and all other methods use the fitted model as a whole. An attribute that could be
    assigned would be ignored by them without a word.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self
        if self.name not in instance.__dict__:
            return instance._unlearned(self.name)
        return instance.__dict__[self.name]

    def __set__(self, instance: Any, value: T) -> NoReturn:
        raise AttributeError(
            f"{self.name} of {type(instance).__name__} cannot be assigned: it is a result of fit, "
            f"and predict would not know of the change. {instance._remedy()}"
        )

    def __delete__(self, instance: Any) -> NoReturn:
        raise AttributeError(
            f"{self.name} of {type(instance).__name__} cannot be deleted: it is a result of fit. "
            "Use sklearn.base.clone(estimator) for one that is not fitted."
        )


class Learning(Speaking):
    """Mixin of the classes that have `Learned` attributes."""

    def _learn(self, **values: Any) -> None:
        """Set fitted attributes, which nobody can change in place."""
        known = self._learned()
        for name, value in values.items():
            if name not in known:
                raise TypeError(f"{type(self).__name__} declares no fitted attribute {name!r}")
            self.__dict__[name] = frozen(value)

    @classmethod
    def _learned(cls) -> frozenset[str]:
        """Names of the fitted attributes that the class declares."""
        kind: type = cls
        return learned_names(kind)

    def _forget(self) -> None:
        """Remove all fitted attributes: the next fit may have others."""
        for name in self._learned():
            self.__dict__.pop(name, None)

    def _unlearned(self, name: str) -> Any:
        """The value of a fitted attribute that is not set; AttributeError if there is none."""
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _remedy(self) -> str:
        """What to do instead of assigning a fitted attribute."""
        return "Fit again."

    def __setstate__(self, state: Any) -> None:
        above: Any = super()
        above.__setstate__(state)
        # NumPy's pickles and deep copies do not keep what is read-only.
        for name in self._learned() & self.__dict__.keys():
            self.__dict__[name] = frozen(self.__dict__[name])


@lru_cache
def learned_names(cls: type) -> frozenset[str]:
    """The fitted attributes that a class declares."""
    return frozenset(
        name for name in dir(cls) if isinstance(inspect.getattr_static(cls, name), Learned)
    )


def _refuse(self: Any, *args: Any, **kwargs: Any) -> NoReturn:
    kind = "list" if isinstance(self, list) else "dict"
    raise TypeError(f"a fitted attribute cannot be changed; change a copy: {kind}(...)")


class UnchangingDict(dict[str, Any]):
    """A dict that cannot be changed; a copy of it, ``dict(...)``, can."""

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[type[UnchangingDict], tuple[dict[str, Any]]]:
        return type(self), (dict(self),)


class UnchangingList(list[Any]):
    """A list that cannot be changed; a copy of it, ``list(...)``, can."""

    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = clear = extend = insert = pop = remove = reverse = sort = _refuse

    def __reduce__(self) -> tuple[type[UnchangingList], tuple[list[Any]]]:
        return type(self), (list(self),)


def frozen(value: Any) -> Any:
    """`value` with all arrays, lists and dicts in it as copies that cannot be changed."""
    if isinstance(value, np.ndarray):
        if not value.flags.writeable:
            return value
        own = np.array(value)
        if own.dtype.kind == "f":
            own += 0.0  # which makes 0.0 of -0.0
        own.setflags(write=False)
        return own.view()  # A view cannot be made writable again, its owner could.
    if isinstance(value, dict):
        return UnchangingDict({key: frozen(each) for key, each in value.items()})
    if isinstance(value, list):
        return UnchangingList(frozen(each) for each in value)
    if type(value) is tuple:
        return tuple(frozen(each) for each in value)
    return value + 0.0 if type(value) is float else value
