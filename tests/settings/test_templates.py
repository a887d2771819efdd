"""Templates in a configuration: what they give, and what is refused with which words."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from emdist.errors import ConfigError
from emdist.inputs.durations import parse_duration
from emdist.jobs.run import open_job
from emdist.settings.config import make_config
from emdist.settings.templates import Occasion, check_templates, filled

BERLIN = datetime(2026, 11, 1, 0, 30, tzinfo=ZoneInfo("Europe/Berlin"))
NOW = Occasion(BERLIN, "0a1b", "nightly")


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("plain", "plain"),
        ("daily-{scheduled:%Y-%m-%d}", "daily-2026-11-01"),
        ("{deployment}-{scheduled:%G-W%V}-{flow_run}", "nightly-2026-W44-0a1b"),
        ("{scheduled:%H%M%%}", "0030%"),
        ("a{{b}}", "a{b}"),
    ],
)
def test_fields_are_filled(text: str, given: str) -> None:
    assert NOW.fill("run.key", text) == given


def test_only_some_keys_are_templates() -> None:
    values = {
        "data": {"path": "in/{scheduled:%d}.zarr", "array": "{x}"},
        "run": {"folder": "{flow_run}"},
        "model": {"name": "kmeans"},
        "labels": {"path": "out/{deployment}"},
    }
    assert filled(values, NOW) == {
        "data": {"path": "in/01.zarr", "array": "{x}"},
        "run": {"folder": "{flow_run}"},
        "model": {"name": "kmeans"},
        "labels": {"path": "out/nightly"},
    }
    assert filled({"model": "runs/{deployment}", "out": "{flow_run}"}, NOW) == {
        "model": "runs/nightly",
        "out": "0a1b",
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{date}", r"unknown field \{date\}.*Expected \{scheduled:%Y-%m-%d\}, \{flow_run\}"),
        ("{schedule:%Y}", r"did you mean 'scheduled'"),
        ("{scheduled.year}", r"unknown field"),
        ("{scheduled!r:%Y}", r"unknown field"),
        ("{}", r"unknown field"),
        ("{0}", r"unknown field"),
        ("{scheduled}", r"no format of a date.*Expected a format as in"),
        ("{scheduled:today}", r"no format of a date"),
        ("{scheduled:%Q}", r"the format %Q"),
        ("{scheduled:%-d}", r"the format %-"),
        ("{scheduled:%Y%}", r"the format %\. |the format %"),
        ("{scheduled:{flow_run}%Y}", r"no format of a date"),
        ("{flow_run:%Y}", r"takes no format"),
        ("daily-{scheduled:%Y", r"is no template.*a brace that stands for itself twice"),
        ("daily-}", r"is no template"),
    ],
)
def test_what_is_no_template_is_refused(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=rf"^run\.key: .*{words}"):
        check_templates({"run": {"key": text}})
    with pytest.raises(ConfigError, match=words):
        NOW.fill("run.key", text)


@pytest.mark.parametrize(
    ("text", "deployment", "words"),
    [
        ("{deployment}", "a/b", r"gives 'a/b', which is a path"),
        ("{deployment}", "x" * 300, r"has 300 bytes"),
        ("{scheduled:%Y} ", "d", r"gives '2026 ', which begins or ends with a space"),
        ("{deployment}", None, r"belongs to no deployment"),
    ],
)
def test_a_key_is_checked_once_it_is_filled(text: str, deployment: str | None, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Occasion(BERLIN, "0a1b", deployment).fill("run.key", text)


@pytest.mark.parametrize(
    ("place", "section"),
    [("run.key", "run"), ("data.path", "data"), ("labels.path", "labels")],
)
def test_a_template_outside_prefect_is_refused(place: str, section: str, tmp_path: Path) -> None:
    values = {"data": {"path": str(tmp_path / "x.zarr")}}
    values.setdefault(section, {})[place.partition(".")[2]] = "day-{scheduled:%d}"
    with (
        pytest.raises(ConfigError, match=rf"{place} .*only a Prefect flow.*emdist flow cluster"),
        open_job(make_config(values)),
    ):
        pass


def test_other_braces_stay_what_they_are_outside_prefect(tmp_path: Path) -> None:
    values = {"data": {"path": str(tmp_path / "{x}.zarr")}}
    with pytest.raises(FileNotFoundError), open_job(make_config(values)):
        pass


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("2 h", 7200), ("1d 12h", 129600), ("1.5min", 90)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "2", "h", "2 hours", "-1h", "0s", "1h x"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"skip_late.*(2h|expected)"):
        make_config({"data": {"path": "x.zarr"}, "run": {"skip_late": text}})
