"""The command line of the predictions: calibrate, check, predict."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.scaling import pages
from benchmarks.scaling.calibration import calibrate
from benchmarks.scaling.check import check
from benchmarks.scaling.quantities import Machine

_STORED = Path(__file__).with_name("machine.json")


def say(what: str) -> None:
    """Print progress to standard error, apart from the tables."""
    print(f"... {what}", file=sys.stderr, flush=True)


def main() -> None:
    """Do what was asked for: calibration first, then check and predictions."""
    parser = argparse.ArgumentParser(description="Cost of an iteration on clusters of any size.")
    parser.add_argument("--calibrate", action="store_true", help="measure this machine")
    parser.add_argument("--check", action="store_true", help="predict passes here and make them")
    parser.add_argument("--predict", action="store_true", help="1 TB and 100 TB")
    parser.add_argument("--constants", type=Path, default=_STORED, help="JSON of the calibration")
    parser.add_argument("--megabytes", type=int, default=256, help="decoded, of the check's data")
    parser.add_argument("--simulated", type=int, default=100_000, help="most blocks simulated")
    parser.add_argument("--write-docs", type=Path, help="put the tables into this page")
    asked = parser.parse_args()
    if asked.calibrate:
        calibrate(say).save(asked.constants)
    machine = Machine.load(asked.constants)
    parts = {"calibration": pages.calibration(machine)}
    if asked.check:
        parts["check"] = pages.checks(check(machine, say, asked.megabytes))
    if asked.predict:
        say("predictions")
        parts["predictions"] = pages.predictions(machine, asked.simulated)
        say("settings")
        parts["settings"] = pages.settings(machine)
    print("\n\n".join(parts.values()))
    if asked.write_docs:
        pages.write_page(asked.write_docs, parts)


if __name__ == "__main__":
    main()
