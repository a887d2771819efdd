"""`ReportedRun`: all that a report tells of a run, read from its folder and from drawn rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from emdist.plot.findings import Findings


@dataclass(frozen=True, eq=False)
class ReportedRun:
    """What is known of a run.

    Attributes
    ----------
    run
        Where it is.
    record
        Its record: configuration, data, plan, versions, time.
    summary
        Its summary as JSON values; empty if there is none.
    findings
        Its model, rows that were drawn, labels on a grid, models of a sweep.
    settings
        Settings that differ from their defaults, as names and values.
    configuration
        The configuration as YAML, which makes the same run.
    command
        The command that repeats the run.
    sha256
        The digest of the model.
    unread
        Why rows could not be drawn; "" if they were.
    notes
        More reasons for doubt, such as data that have changed since.
    uncertainty
        What is stored with the run on how sure the model is; empty if nothing is.
    extra
        More sections, as ``(name, title, HTML)``.
    """

    run: str
    record: Mapping[str, Any]
    summary: Mapping[str, Any]
    findings: Findings
    settings: Sequence[tuple[str, str]]
    configuration: str
    command: str
    sha256: str
    unread: str = ""
    notes: tuple[str, ...] = ()
    uncertainty: Mapping[str, Any] = field(default_factory=dict)
    extra: Sequence[tuple[str, str, str]] = field(default=())

    @property
    def name(self) -> str:
        """The name of the run's folder."""
        return self.run.rstrip("/").rpartition("/")[2] or self.run

    @property
    def is_sweep(self) -> bool:
        """Whether the run compared several models."""
        return bool(self.findings.models)

    @property
    def data(self) -> Mapping[str, Any]:
        """The facts about the data in the summary."""
        found: Mapping[str, Any] = self.summary.get("data") or {}
        return found

    @property
    def doubts(self) -> list[str]:
        """The warnings of the fit and of the choice, in words."""
        inner = self.summary.get("result") or self.summary
        told = [str(one.get("message", "")) for one in inner.get("doubts") or ()]
        told += [str(one) for one in self.data.get("prepare_doubts") or ()]
        return [*told, *self.notes]
