"""`Settings`, a mixin: checks an estimator's parameters and makes configuration sections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np
from sklearn.utils import check_random_state

from emdist import inputs, settings
from emdist.errors import ConfigError, StartError
from emdist.inputs.arrays import plain, real_array
from emdist.inputs.plugins import nearest, plugins
from emdist.inputs.quoting import shown
from emdist.interfaces import Floats
from emdist.wording import renamed

if TYPE_CHECKING:
    from emdist.settings.config import Section

S = TypeVar("S", bound="Section")


class Settings:
    """Mixin that checks the parameters of an estimator. It has no state of its own."""

    random_state: Any
    # Defaults for estimators that do not have these parameters.
    schedule: Any = "batch"
    schedule_options: Any = None
    #: Option -> the estimator's parameter with another name that sets it. An option of the model
    #: has its own name here, and any other its key, such as ``fit.schedule_options.groups``.
    _option_names: ClassVar[Mapping[str, str]] = {}
    #: Deprecated name of a parameter -> its present name.
    _deprecated: ClassVar[Mapping[str, str]] = {}

    def _seed(self) -> int:
        if isinstance(self.random_state, bool | np.bool_ | str | float):
            raise ConfigError(
                f"random_state={shown(self.random_state)}; expected an integer >= 0, a "
                "numpy.random.RandomState, or None."
            )
        if isinstance(self.random_state, int | np.integer):
            return int(self.random_state)
        try:
            return int(check_random_state(self.random_state).randint(2**31 - 1))
        except ValueError as error:
            raise ConfigError(f"random_state: {error}. Give an integer >= 0, or None.") from None

    def _checked(self, cls: type[S], names: Mapping[str, str], **values: Any) -> S:
        """Make a section of the configuration; its errors use `names`, the parameters' names."""
        given = {
            key: self._plain_options(f"{cls.place}.{key}", value)
            if key.endswith("options") and isinstance(value, Mapping)
            else plain(value, names.get(key, key))
            for key, value in values.items()
        }
        return settings.config.make_section(
            cls, given, type(self).__name__, names, settings.config.PARAMETERS
        )

    def _plain_options(self, place: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """Convert options, set at the key `place`, to types that a section accepts."""
        found = {}
        for key, given in options.items():
            name = renamed(f"{place}.{key!s:.60}", "parameters", self._option_names)
            found[key] = plain(given, name)
            if isinstance(given, str | bytes) and inputs.validation.is_number(given):
                raise ConfigError(f"{name}={shown(given)} is text; expected a number.")
        return found

    def _check_switches(self) -> None:
        """Raise ConfigError for wrong values of parameters that no section checks."""
        for name in ("warm_start", "copy_x", "uniform_weights"):
            if name in self.__dict__:
                inputs.validation.switch(getattr(self, name), name)
        for name in ("verbose", "verbose_interval"):
            value = self.__dict__.get(name, 0)
            if not isinstance(value, bool | np.bool_):
                inputs.validation.whole_number(value, name, 0)

    def _options_of(self, name: str, example: str) -> dict[str, Any]:
        """Return the parameter `name` as a dict; ConfigError if it is not a mapping or None."""
        given = getattr(self, name)
        if not isinstance(given, Mapping | None):
            raise ConfigError(
                f"{name}={shown(given)}; expected a dict, such as {example}, or None."
            )
        return dict(given or {})


def seeder(init: Any, name: str, known: Sequence[str]) -> str:
    """Return `init` if it is one of the `known` seeders of a class, or another seeder of emdist.

    Otherwise raise ConfigError, which names the parameter `name` and its `known` values.
    """
    if isinstance(init, str) and (
        init in known or init in plugins(settings.config.SEEDERS, "seeder")
    ):
        return init
    near = nearest(init, known) if isinstance(init, str) else ""
    raise ConfigError(f"{name}={shown(init)} is not known{near}; choose one of {', '.join(known)}.")


def as_floats(value: Any, name: str, shape: tuple[int, ...]) -> Floats:
    """Return starting values from the user as finite float64 of `shape`; otherwise StartError."""
    found = real_array(value, name, StartError, f"an array of shape {shape}")
    if found.shape != shape:
        raise StartError(
            f"{name} has shape {found.shape}; expected {shape} for this number of components and "
            "features."
        )
    if not np.isfinite(found).all():
        raise StartError(f"{name} holds NaN or infinity; expected finite numbers.")
    return found
