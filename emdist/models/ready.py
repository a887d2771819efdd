"""What follows from parameters alone: made once for all blocks of a pass, and for the driver.

To make a density may mean k factorisations of d x d matrices, seconds for many features.
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
    """What was made of parameters in use. It has state: it remembers, guarded by a lock.

    Parameters are told apart by identity and never change; what was made of them goes with them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[int, tuple[Any, list[tuple[Any, Any, Any]]]] = {}

    def density(self, family: Scored[Any], params: Any, numerics: Numerics) -> Density:
        """``family.density(params, numerics)``, perhaps as it was made before."""
        return self.once(params, family, numerics, lambda: family.density(params, numerics))

    def amplification(self, family: Scored[Any], params: Any, spread: Spread) -> float:
        """``family.amplification(params, spread)``, perhaps as it was found before."""
        return self.once(params, family, spread, lambda: family.amplification(params, spread))

    def once(self, owner: Any, what: Any, given: Any, make: Callable[[], V]) -> V:
        """``make()``, called `what`, of `owner` and what is `given`, perhaps as it was before."""
        found: list[V] = self._found(owner, what, given)
        if found:
            return found[0]
        value = make()
        self._keep(owner, what, given, value)
        return value

    def _found(self, params: Any, family: Any, given: Any) -> list[Any]:
        with self._lock:
            own, made = self._held.get(id(params), (None, []))
            if own is None or own() is not params:
                return []
            return [v for f, g, v in made if f is family and _same(g, given)]

    def _keep(self, params: Any, family: Any, given: Any, value: Any) -> None:
        key = id(params)
        try:
            # Without the lock: parameters may go while it is held.
            own = weakref.ref(params, lambda _: self._held.pop(key, None))
        except TypeError:  # Such as tuples, which nothing can be tied to.
            return
        with self._lock:
            known, made = self._held.get(key, (None, []))
            if known is None or known() is not params:
                self._held[key] = own, [(family, given, value)]
            else:
                made.append((family, given, value))


def _same(a: Any, b: Any) -> bool:
    return a is b or (isinstance(a, Numerics) and a == b)


#: The one of this process: tasks arrive pickled and have nowhere else to look.
READY = Ready()
