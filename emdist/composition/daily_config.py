"""The configuration of a daily series: that of a fit, with when to fit again, where to publish."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, model_validator

from emdist.inputs.durations import duration_text, parse_duration
from emdist.settings.config import Config, Section, make_section
from emdist.settings.data import NEW_ROWS
from emdist.settings.templates import has_templates

#: The name of a series without a run key.
SERIES = "daily"


class DailySection(Section):
    """This section says where a series publishes model and labels, and when it fits again."""

    place = "daily"

    folder: str = "published"
    refit_every: Annotated[str, AfterValidator(duration_text)] | None = None
    refit_share: float | None = Field(None, gt=0, le=1)
    refit_score: float | None = Field(None, gt=0, allow_inf_nan=False)

    @property
    def seconds(self) -> float | None:
        """`refit_every` in seconds, or None."""
        return None if self.refit_every is None else parse_duration(self.refit_every)


class DailyConfig(Config):
    """The configuration of a series: that of a fit, with a section that says when to fit again."""

    daily: DailySection = DailySection()

    @property
    def series(self) -> str:
        """The name of the series, with which the keys of its runs begin."""
        return self.run.key or SERIES

    @model_validator(mode="after")
    def _new_rows(self) -> Self:
        """Accept ``data.select_rows: new``: here, the rows that came after the last fit."""
        return self

    @model_validator(mode="after")
    def _of_a_series(self) -> Self:
        """Refuse settings that each run of a series has for itself."""
        if self.labels.path is not None or not self.labels.write:
            raise ValueError(
                "labels.path and labels.write do not go with the section daily: the flow writes "
                "labels into the folder daily.folder. Leave them out."
            )
        if self.labels.overwrite or self.run.extend:
            raise ValueError(
                "labels.overwrite and run.extend do not go with the section daily: each model of "
                "the series has a run and labels of its own. Leave them out."
            )
        if has_templates({"run": {"key": self.run.key}}):
            raise ValueError(
                f"run.key is {self.run.key!r}, but it names the whole series and is the same each "
                "time. Write a name without a template: the flow numbers its runs by itself."
            )
        return self

    def of_run(self, number: int, origin: str | None, rows: int) -> Config:
        """Return the configuration of the run `number`.

        Parameters
        ----------
        number
            The number of the run, from 1 on.
        origin
            The accepted model, from which it starts; None for ``fit.from``.
        rows
            The number of rows that the run before has read.
        """
        asked = self.data.select_rows
        first = f"{rows}:" if asked == NEW_ROWS else asked or ":"
        fit = self.fit
        if origin is not None:
            fit = fit.model_copy(update={**_COLD, "from": origin})
        fields = {name: getattr(self, name) for name in Config.model_fields}
        changed = {
            "data": self.data.model_copy(update={"select_rows": first}),
            "fit": fit,
            "run": self.run.model_copy(update={"key": self.key_of(number), **_OWNED}),
            "labels": self.labels.model_copy(update={"write": False}),
        }
        return Config.model_construct(**(fields | changed))

    def key_of(self, number: int) -> str:
        """Return the key of the run `number`."""
        return f"{self.series}-{number:06d}"


#: Settings of `fit` that choose starting values, which an accepted model has.
_COLD = {"start": None, "init": None, "n_init": 1}
#: The series has one owner, so nobody else works on its runs.
_OWNED = {"if_running": "take_over", "skip_late": None}


def make_daily_config(
    values: Mapping[str, Any],
    where: str = "the configuration",
    names: Mapping[str, str] | None = None,
) -> DailyConfig:
    """Return a checked `DailyConfig`; raise ConfigError with every fault, its place and remedy.

    `names` says what the user calls a key, if that differs from the configuration.
    """
    return make_section(DailyConfig, values, where, names)
