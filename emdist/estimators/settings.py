"""The parameters of an estimator, checked: sections of a configuration, seeds, switches, starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

import numpy as np
from sklearn.utils import check_random_state

from emdist.errors import ConfigError, StartError
from emdist.inputs.arrays import plain, real_array
from emdist.inputs.quoting import shown
from emdist.inputs.validation import is_number, switch, whole_number
from emdist.interfaces import Floats
from emdist.settings.config import PARAMETERS, Section, make_section

S = TypeVar("S", bound=Section)


class Settings:
    """What an estimator does with its own parameters; a base without state of its own."""

    random_state: Any
    # Of those that have no parameter for it.
    schedule: Any = "batch"
    schedule_options: Any = None
    #: Parameters by the option of the model that they are, where the names differ.
    _option_names: ClassVar[Mapping[str, str]] = {}
    #: Names that parameters had before, to those that they have now.
    _deprecated: ClassVar[Mapping[str, str]] = {}

    def _seed(self) -> int:
        if isinstance(self.random_state, bool | np.bool_ | str | float):
            raise ConfigError(
                f"random_state={shown(self.random_state)}; wanted an integer >= 0, a "
                "numpy.random.RandomState, or None."
            )
        if isinstance(self.random_state, int | np.integer):
            return int(self.random_state)
        try:
            return int(check_random_state(self.random_state).randint(2**31 - 1))
        except ValueError as error:
            raise ConfigError(f"random_state: {error}. Give an integer >= 0, or None.") from None

    def _checked(self, cls: type[S], names: Mapping[str, str], **values: Any) -> S:
        """A section of the configuration; its errors speak of `names`, the parameters."""
        given = {
            key: self._plain_options(value)
            if key.endswith("options") and isinstance(value, Mapping)
            else plain(value, names.get(key, key))
            for key, value in values.items()
        }
        return make_section(cls, given, type(self).__name__, names, PARAMETERS)

    def _plain_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Options of the model, the schedule or the assignment, as a configuration has them."""
        found = {}
        for key, given in options.items():
            name = self._option_names.get(key, f"{key!s:.60}")
            found[key] = plain(given, name)
            if isinstance(given, str | bytes) and is_number(given):
                raise ConfigError(f"{name}={shown(given)} is text; wanted a number.")
        return found

    def _check_switches(self) -> None:
        """ConfigError for wrong values of the parameters that no section checks."""
        for name in ("warm_start", "copy_x", "uniform_weights"):
            if name in self.__dict__:
                switch(getattr(self, name), name)
        for name in ("verbose", "verbose_interval"):
            value = self.__dict__.get(name, 0)
            if not isinstance(value, bool | np.bool_):
                whole_number(value, name, 0)

    def _options_of(self, name: str, example: str) -> dict[str, Any]:
        """The parameter `name` as a dict; ConfigError if it is none."""
        given = getattr(self, name)
        if not isinstance(given, Mapping | None):
            raise ConfigError(f"{name}={shown(given)}; wanted a dict, such as {example}, or None.")
        return dict(given or {})


def as_floats(value: Any, name: str, shape: tuple[int, ...]) -> Floats:
    """A start given by the user, as finite float64 of `shape`; StartError if it is no such."""
    found = real_array(value, name, StartError, f"an array of shape {shape}")
    if found.shape != shape:
        raise StartError(
            f"{name} has shape {found.shape}; wanted {shape} for this number of components and "
            "features."
        )
    if not np.isfinite(found).all():
        raise StartError(f"{name} holds NaN or infinity; wanted finite numbers.")
    return found
