"""Fitted attributes: `fit` sets them, and users can only read them."""

from __future__ import annotations

import inspect
from functools import lru_cache
from typing import Any, Generic, NoReturn, Self, TypeVar, overload

import numpy as np

from emdist.estimators.wording import Speaking

T = TypeVar("T")


class Learned(Generic[T]):
    """Descriptor of a fitted attribute, for classes with `Learning`: it refuses assignment.

    `predict` and all other methods use the fitted model as a whole. They would silently ignore a
    value that a user assigned.
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
            f"{self.name} of {type(instance).__name__} cannot be assigned: it is a result of "
            f"fit, and predict would not use the new value. {instance._remedy()}"
        )

    def __delete__(self, instance: Any) -> NoReturn:
        raise AttributeError(
            f"{self.name} of {type(instance).__name__} cannot be deleted: it is a result of fit. "
            "Use sklearn.base.clone(estimator) for one that is not fitted."
        )


class Learning(Speaking):
    """Mixin for classes with `Learned` attributes."""

    def _learn(self, **values: Any) -> None:
        """Set fitted attributes, as copies that cannot be changed in place."""
        known = self._learned()
        for name, value in values.items():
            if name not in known:
                raise TypeError(f"{type(self).__name__} declares no fitted attribute {name!r}")
            self.__dict__[name] = frozen(value)

    @classmethod
    def _learned(cls) -> frozenset[str]:
        """Return the names of the fitted attributes that the class declares."""
        kind: type = cls
        return learned_names(kind)

    def _forget(self) -> None:
        """Remove all fitted attributes, because the next fit may have different ones."""
        for name in self._learned():
            self.__dict__.pop(name, None)

    def _unlearned(self, name: str) -> Any:
        """Return a fitted attribute that is not set yet; AttributeError if it has no value."""
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _remedy(self) -> str:
        """Return the advice of the error about assigning a fitted attribute."""
        return "Fit again."

    def __setstate__(self, state: Any) -> None:
        above: Any = super()
        above.__setstate__(state)
        # NumPy's pickles and deep copies lose the read-only flag.
        for name in self._learned() & self.__dict__.keys():
            self.__dict__[name] = frozen(self.__dict__[name])


@lru_cache
def learned_names(cls: type) -> frozenset[str]:
    """Return the names of the fitted attributes that a class declares."""
    return frozenset(
        name for name in dir(cls) if isinstance(inspect.getattr_static(cls, name), Learned)
    )


def _refuse(self: Any, *args: Any, **kwargs: Any) -> NoReturn:
    kind = "list" if isinstance(self, list) else "dict"
    raise TypeError(f"a fitted attribute cannot be changed; change a copy: {kind}(...)")


class UnchangingDict(dict[str, Any]):
    """A dict that cannot be changed. A copy of it, ``dict(...)``, can be."""

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[type[UnchangingDict], tuple[dict[str, Any]]]:
        return type(self), (dict(self),)


class UnchangingList(list[Any]):
    """A list that cannot be changed. A copy of it, ``list(...)``, can be."""

    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = clear = extend = insert = pop = remove = reverse = sort = _refuse

    def __reduce__(self) -> tuple[type[UnchangingList], tuple[list[Any]]]:
        return type(self), (list(self),)


def frozen(value: Any) -> Any:
    """Return `value`, with all arrays, lists and dicts in it as copies that cannot be changed."""
    if isinstance(value, np.ndarray):
        if not value.flags.writeable:
            return value
        own = np.array(value)
        if own.dtype.kind == "f":
            own += 0.0  # Turns -0.0 into 0.0.
        own.setflags(write=False)
        return own.view()  # A view cannot be made writable again; the array that owns it can.
    if isinstance(value, dict):
        return UnchangingDict({key: frozen(each) for key, each in value.items()})
    if isinstance(value, list):
        return UnchangingList(frozen(each) for each in value)
    if type(value) is tuple:
        return tuple(frozen(each) for each in value)
    return value + 0.0 if type(value) is float else value
