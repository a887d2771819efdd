"""Types of array parameters that also take a name, for type checkers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

from numpy.typing import NDArray


class HasArray(Protocol):
    """An object that NumPy can take as an array, such as a data frame."""

    def __array__(self) -> NDArray[Any]:
        """Return the values."""
        ...


#: Numbers in two dimensions. NumPy's ``ArrayLike`` includes text, and would take any misspelt name.
Matrix: TypeAlias = HasArray | Sequence[Sequence[float]]
