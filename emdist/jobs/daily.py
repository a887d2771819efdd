"""One tick of a series: label what is new, fit again if that is due, publish what is accepted.

A tick has no state of its own. What is done follows from the folder of the series, so a tick that
is repeated, or killed and started again, goes on where it stopped, and so does the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from emdist.composition.daily_config import DailyConfig
from emdist.composition.make import run_location
from emdist.errors import DriftError, EmdistError, RunMismatchError
from emdist.fit.events import Began, Event, Listener, Progress, Warned
from emdist.jobs.finished import SUMMARY
from emdist.jobs.label import label_data
from emdist.jobs.row_ranges import ROWS
from emdist.jobs.turns import turn
from emdist.settings.config import Config
from emdist.store.places.files import open_folder
from emdist.store.places.location import Location
from emdist.store.runs import liveness
from emdist.store.runs.model_files import copy_model
from emdist.store.runs.publications import Publications, labels_name, model_name
from emdist.store.runs.run_folder import RunFolder

#: Fits a run: survey, iterations and summary. It raises DriftError if a limit is exceeded.
Fit = Callable[[Config], object]
#: Does the work of a stage that labels: given that work, the model, and the place of the labels.
Stage = Callable[[Callable[[], dict[str, Any]], Location, Location], dict[str, Any]]

#: A tick that is at most so much too early still counts: by part of the time, and in seconds.
_EARLY, _HOURS = 0.05, 7200.0


@dataclass(frozen=True)
class Due:
    """A fit that is due: the number of its run, and why."""

    number: int
    why: str


@dataclass(frozen=True)
class Daily:
    """A tick of a series.

    Attributes
    ----------
    config
        The checked configuration, with its templates filled.
    scheduled
        The time for which the tick is.
    listen
        Called with each event.
    epoch
        The owner epoch of the series; 0 before it is claimed.
    """

    config: DailyConfig
    scheduled: datetime
    listen: Listener
    epoch: int = 0

    @property
    def place(self) -> Location:
        """The folder of the series."""
        return Location(self.config.daily.folder, self.config.run.storage_options)

    @property
    def series(self) -> Publications:
        """What the series has published."""
        return Publications(self.place)

    def tick(self, fit: Fit, stage: Stage) -> dict[str, Any]:
        """Do all that is due.

        Returns
        -------
        dict
            JSON values: ``number`` (of the newest publication), ``model``, ``labels``, ``rows``,
            ``new_rows`` (that this tick labelled), ``fitted`` (why it fitted, or None), ``drift``
            (of the rows that were new last), ``already_done`` (whether nothing was due).

        Raises
        ------
        DriftError
            If a new model was not accepted. The one before stays published, and has labelled all
            rows.
        SkippedError, RunFencedError
            If another process works on the series, or has taken it over.
        """
        with self._owned() as owned:
            return owned._done(fit, stage)

    @contextmanager
    def _owned(self) -> Iterator[Daily]:
        """Claim the series. By default, wait for a process that works on it."""
        run = self.config.run
        asked = run.if_running if "if_running" in run.model_fields_set else "wait"
        folder = RunFolder(self.place)
        with turn(folder, asked, self.listen) as epoch:
            if epoch is not None:
                yield self._owner(epoch)
                return
            epoch = folder.claim()
            with liveness.beating(folder.folder, epoch):
                yield self._owner(epoch)

    def _owner(self, epoch: int) -> Daily:
        """Return the tick of the owner `epoch`, which ends its work once it is taken over."""
        folder, listen = RunFolder(self.place), self.listen

        def heard(event: Event) -> None:
            if isinstance(event, Progress):
                folder.check_owner(epoch)
            listen(event)

        return replace(self, listen=heard, epoch=epoch)

    def _done(self, fit: Fit, stage: Stage) -> dict[str, Any]:
        self.series.point()
        before = self.series.newest()
        found = None if before is None else self._labelled(before, stage)
        due = self._due(found)
        if due is not None:
            found = self._refitted(found, due, fit, stage)
        assert found is not None
        rows = 0 if before is None else before["rows"]
        return {
            "number": found["number"],
            "model": str(self.series.model(found["run"])),
            "labels": str(self.series.labels(found["run"])),
            "rows": found["rows"],
            "new_rows": found["rows"] - rows,
            "fitted": None if due is None else due.why,
            "drift": found.get("drift"),
            "already_done": before is not None and found["number"] == before["number"],
        }

    def _labelled(self, newest: Mapping[str, Any], stage: Stage) -> dict[str, Any]:
        """Label new rows with the accepted model, and publish how far the labels reach."""
        run = newest["run"]
        told = self._labels(run, stage, None)
        if told["rows"] == newest["rows"]:
            return dict(newest)
        totals = _totals(told)
        drift = _drift(newest, totals, told)
        values = {**newest, "rows": told["rows"], "totals": totals, "drift": drift}
        return self._publish(values)

    def _labels(self, run: int, stage: Stage, outputs: list[str] | None) -> dict[str, Any]:
        """Label all rows that have no labels by the model of `run` yet."""
        labels = self.config.labels
        data = self.config.data.model_copy(update={"select_rows": None})

        model, out = self.series.model(run), self.series.labels(run)

        def label() -> dict[str, Any]:
            return label_data(
                model,
                data,
                out,
                self.config.cluster,
                outputs,
                listen=self.listen,
                components=labels.components if outputs else None,
                append=True,
            )

        return stage(label, model, out)

    def _due(self, newest: Mapping[str, Any] | None) -> Due | None:
        """Return the fit that is due; None if none is."""
        refused = self._refused(newest)
        number = 1 if newest is None else int(newest["run"]) + 1
        if refused is not None:
            number = int(refused["run"]) + 1
            changed = refused["limits"] != self._limits
            if refused["drifted"] and (changed or refused["scheduled"] == self._now):
                return Due(number - 1, "the last fit was refused")
        if newest is None:
            return Due(number, "there is no model yet")
        if self._begun(number) or (refused is not None and not refused["drifted"]):
            return Due(number, "a fit was interrupted")
        last = max(newest["fitted"], refused["scheduled"] if refused else "")
        if (every := self.config.daily.seconds) is not None:
            since = (self.scheduled - datetime.fromisoformat(last)).total_seconds()
            if since >= every - min(_EARLY * every, _HOURS):
                return Due(number, f"the last fit was {self.config.daily.refit_every} ago")
        if refused is None or refused["publication"] < newest["number"]:
            why = self._drifted(newest.get("drift"))
            return None if why is None else Due(number, why)
        return None

    def _drifted(self, drift: Mapping[str, Any] | None) -> str | None:
        """Return which limit the rows that were new last exceed, or None."""
        limits = self.config.daily
        if drift is None:
            return None
        share, score = drift["share"], drift["score"]
        if limits.refit_share is not None and share is not None and share > limits.refit_share:
            return f"the share of a component changed by {share:.3g} in new rows"
        if limits.refit_score is not None and score is not None and score > limits.refit_score:
            return f"the model describes new rows worse by {score:.3g}"
        return None

    def _refitted(
        self, newest: Mapping[str, Any] | None, due: Due, fit: Fit, stage: Stage
    ) -> dict[str, Any]:
        """Fit, starting from the accepted model, and publish the new one if it is accepted."""
        begun = self._begun(due.number)
        config = self._config(newest, due.number)
        where = run_location(config)
        self.listen(Began("refit", f"{where}, because {due.why}"))
        try:
            fit(config)
        except DriftError as error:
            self._refuse(due.number, newest, error)
            raise DriftError(
                f"{error} The series keeps the model that it has. Start the same flow again after "
                "you have changed the limits."
            ) from None
        except RunMismatchError as error:
            if not begun:
                raise
            # It was begun with other settings, or its rows have changed, so it cannot go on.
            self.listen(
                Warned(f"The run {where} is left as it is, and another one begins. {error}")
            )
            self._refuse(due.number, newest, error)
            return self._refitted(newest, Due(due.number + 1, due.why), fit, stage)
        return self._accepted(due, where, stage)

    def _accepted(self, due: Due, where: Location, stage: Stage) -> dict[str, Any]:
        """Publish the model of a run, with the labels of all rows."""
        RunFolder(self.place).check_owner(self.epoch)
        target = self.series.model(due.number)
        copy_model(where, target)
        for name in (SUMMARY, "summary.md"):
            open_folder(target).write(name, open_folder(where).read(name))
        told = self._labels(due.number, stage, list(self.config.labels.outputs))
        totals = _totals(told)
        return self._publish(
            {
                "run": due.number,
                "model": model_name(due.number),
                "labels": labels_name(due.number),
                "fitted": self._now,
                "fitted_rows": int(str(RunFolder(where).record()[ROWS]).partition(":")[2]),
                "rows": told["rows"],
                "totals": totals,
                "reference": totals,
                "why": due.why,
            }
        )

    def _config(self, newest: Mapping[str, Any] | None, number: int) -> Config:
        """Return the configuration of the run `number`."""
        if newest is None:
            return self.config.of_run(number, None, 0)
        return self.config.of_run(
            number, self.series.model(newest["run"]).url, newest["fitted_rows"]
        )

    def _refuse(self, number: int, newest: Mapping[str, Any] | None, error: EmdistError) -> None:
        values = {
            "drifted": isinstance(error, DriftError),
            "limits": self._limits,
            "publication": newest["number"] if newest else 0,
            "scheduled": self._now,
            "why": str(error),
        }
        self.series.refuse(number, values, self.epoch)

    def _publish(self, values: Mapping[str, Any]) -> dict[str, Any]:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        made = self.series.publish({**values, "scheduled": self._now, "published": now}, self.epoch)
        self.listen(
            Began("publish", f"number {made['number']}, {made['rows']:,} rows, in {self.place}")
        )
        return made

    def _refused(self, newest: Mapping[str, Any] | None) -> dict[str, Any] | None:
        """Return what is noted of the last fit, if it was refused."""
        found = self.series.refused()
        accepted = 0 if newest is None else newest["run"]
        return found if found is not None and found["run"] > accepted else None

    def _begun(self, number: int) -> bool:
        """Return whether the run `number` has begun."""
        where = run_location(self._config(None, number))
        return open_folder(where).exists("run.json")

    @property
    def _limits(self) -> dict[str, Any]:
        return self.config.drift.model_dump()

    @property
    def _now(self) -> str:
        return self.scheduled.astimezone(UTC).isoformat()


def _totals(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return what adds over rows: the weight of each component and of all, and the score."""
    counts = [
        float(one) for one in (*told["components"], *([told["noise"]] if "noise" in told else []))
    ]
    weight = sum(counts)
    score = float(told["score"])
    mean = told["objective"] != "inertia"
    return {"counts": counts, "weight": weight, "score": score * weight if mean else score}


def _drift(
    before: Mapping[str, Any], totals: Mapping[str, Any], told: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return how the rows that are new since `before` differ from those of the accepted model.

    ``share`` is the largest change of the share of a component, and ``score`` the loss of
    log-likelihood per row in nats, or the relative growth of the inertia per row.
    """
    old, own = before["totals"], before["reference"]
    weight = totals["weight"] - old["weight"]
    if weight <= 0 or not own["weight"]:
        return None
    new = [now - then for now, then in zip(totals["counts"], old["counts"], strict=True)]
    changes = [
        abs(one / weight - then / own["weight"])
        for one, then in zip(new, own["counts"], strict=True)
    ]
    score, known = (totals["score"] - old["score"]) / weight, own["score"] / own["weight"]
    inertia = told["objective"] == "inertia"
    loss = (score / known - 1.0 if known > 0 else None) if inertia else known - score
    return {"rows": told["rows"] - before["rows"], "share": max(changes), "score": loss}
