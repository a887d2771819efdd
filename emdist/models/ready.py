"""A cache of values that follow from parameters alone, such as densities.

They are computed once in a process, for all blocks of a pass and for the driver. To make a density
may need k factorisations of d x d matrices, which takes seconds if there are many features.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

from emdist.components import Density, Scored
from emdist.interfaces import Numerics, Spread

V = TypeVar("V")


class Ready:
    """Remembers values that were computed from parameters, as long as these parameters exist.

    It has state, which a lock guards. Parameters are distinguished by identity and never change.
    When they are garbage-collected, the values that were computed from them are dropped.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[int, tuple[Any, list[tuple[Any, Any, Any]]]] = {}

    def density(self, family: Scored[Any], params: Any, numerics: Numerics) -> Density:
        """Return ``family.density(params, numerics)``, from the cache if it is there."""
        return self.once(params, family, numerics, lambda: family.density(params, numerics))

    def amplification(self, family: Scored[Any], params: Any, spread: Spread) -> float:
        """Return ``family.amplification(params, spread)``, from the cache if it is there."""
        return self.once(params, family, spread, lambda: family.amplification(params, spread))

    def once(self, owner: Any, what: Any, given: Any, make: Callable[[], V]) -> V:
        """Return ``make()``, from the cache if it is there.

        Parameters
        ----------
        owner
            The object from which the value is computed. The cache keeps the value as long as the
            object exists.
        what
            The object that identifies the kind of value, compared by identity.
        given
            The argument of the computation, compared by identity, or by value if it is `Numerics`.
        make
            The function that computes the value. Two threads may both call it.
        """
        found: list[V] = self._found(owner, what, given)
        if found:
            return found[0]
        value = make()
        self._keep(owner, what, given, value)
        return value

    def _found(self, params: Any, family: Any, given: Any) -> list[Any]:
        """Return a list with the remembered value, or an empty list if there is none."""
        with self._lock:
            own, made = self._held.get(id(params), (None, []))
            if own is None or own() is not params:
                return []
            return [v for f, g, v in made if f is family and _same(g, given)]

    def _keep(self, params: Any, family: Any, given: Any, value: Any) -> None:
        """Remember `value` as long as `params` exists.

        The key is ``id(params)``, which Python may give to another object later. So each entry has
        a weak reference, which says whether it is still about `params`.
        """
        key = id(params)
        try:
            # The callback must not take the lock: parameters may be garbage-collected in this
            # thread while it holds the lock.
            own = weakref.ref(params, lambda _: self._held.pop(key, None))
        except TypeError:  # Objects without weak references, such as tuples, are not cached.
            return
        with self._lock:
            known, made = self._held.get(key, (None, []))
            if known is None or known() is not params:
                self._held[key] = own, [(family, given, value)]
            else:
                made.append((family, given, value))


def _same(a: Any, b: Any) -> bool:
    """Return whether `a` and `b` are one object, or equal `Numerics`."""
    return a is b or (isinstance(a, Numerics) and a == b)


#: The cache of this process. It is global because tasks arrive pickled, without a shared object.
READY = Ready()
