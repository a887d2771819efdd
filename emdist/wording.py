"""The wording of messages: names of settings as the user knows them, and a limit of length.

The code that finds an error does not know whether the reader passes parameters in Python, writes a
configuration, or types options of a command. So it names settings by their key in a configuration
(``fit.n_init``). The layer that shows the message replaces the keys by its own names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal

#: The layer in which the user works, named by how it calls settings: parameters in Python, keys of
#: a configuration, or options of a command.
Layer = Literal["parameters", "configuration", "command"]

#: The largest number of characters of a line, and of lines of a message. Longer lines lose their
#: middle, and longer messages their last lines.
LONGEST, LINES = 900, 24

#: Options of the command line, by the key that each one sets.
OPTIONS: Mapping[str, str] = {
    "data.weights": "--weights",
    "data.variables": "--variables",
    "data.samples": "--samples",
    "data.features": "--features",
    "data.select": "--select",
    "data.select_rows": "--select-rows",
    "data.where": "--where",
    "data.lengths": "--lengths",
    "data.sequences": "--sequences",
    "data.time": "--time",
    "data.non_finite": "--non-finite",
    "ingest.columns": "--column",
    "ingest.weight_column": "--weight-column",
    "ingest.dtype": "--dtype",
    "ingest.rows_per_chunk": "--rows-per-chunk",
    "ingest.overwrite": "--overwrite",
    "model.name": "--model",
    "model.emission": "--emission",
    "model.n_components": "-k",
    "fit.init": "--init",
    "fit.seed": "--seed",
    "fit.n_init": "--n-init",
    "fit.max_iter": "--max-iter",
    "fit.tol": "--tol",
    "fit.from": "--from",
    "labels.path": "--labels",
    "run.key": "--run",
    "run.if_running": "--if-running",
    "cluster.n_workers": "--workers",
    "cluster.address": "--scheduler",
    "sweep.n_components": "-k",
    "sweep.families": "--model",
    "sweep.criterion": "--criterion",
    "sweep.allow_degenerate": "--allow-degenerate",
}
#: Parameters in Python, by the key of the configuration for the same setting, if the names differ.
PARAMETERS: Mapping[str, str] = {
    "fit.seed": "random_state",
    "fit.start": "the starting values (init, means_init, weights_init)",
    "fit.from": "warm_start",
    "data.weights": "sample_weight",
    "data.path": "X",
    "data.variables": "variables of emdist.rows",
    "data.samples": "samples of emdist.rows",
    "data.features": "features of emdist.rows",
    "data.select": "select of emdist.rows",
    "data.where": "where of emdist.rows",
    "data.time": "time of emdist.rows",
    "data.lengths": "lengths",
    "data.sequences": "groups",
}

#: The keys that messages can name, by section. All others are left alone: `data.zarr` is a file.
KEYS: Mapping[str, str] = {
    "data": "path array weights storage_options block_size "
    "missing_chunks corrupt_chunks non_finite decode variables samples features select where "
    "select_rows lengths sequences time",
    "ingest": "source columns weight_column dtype rows_per_chunk overwrite",
    "model": "name n_components assignment assignment_options weights weights_options noise "
    "options uniform_weights precision min_weight missing dissimilarity dissimilarity_options "
    "emission chain",
    "fit": "seed init start n_init max_iter tol on_collapse sample_rows schedule schedule_options "
    "from",
    "drift": "moved share score action",
    "run": "retention retention_keep_model folder key if_running skip_late metrics_file",
    "labels": "path write outputs components overwrite storage_options",
    "cluster": "kind memory cache n_workers threads threads_per_worker memory_limit address "
    "stall_timeout workers_timeout",
    "sweep": "n_components families criterion allow_degenerate sums_memory",
}
_KEY = re.compile(
    r"(?<![\w./-])(?P<key>"
    + "|".join(rf"{section}\.(?:{'|'.join(keys.split())})" for section, keys in KEYS.items())
    + r")(?:(?<=options)\.(?P<option>[A-Za-z_]\w*))?(?![\w/]|\.\w)"
)
#: A feature in a message, by its number.
_FEATURE = re.compile(r"\b[Ff]eature (\d+)\b(?! \()")
#: The largest number of characters of a feature's name in a message.
_NAME = 40
_VALUE = re.compile(r"\b([Ss])et (--set [a-z_.]+|--[a-z-]+) to '([^']*)'")
#: Characters that enclose and separate the texts of `either`. They are from a private area of
#: Unicode, so texts of users do not contain them.
_OPEN, _BETWEEN, _CLOSE = "\ue000", "\ue001", "\ue002"
_EITHER = re.compile(_OPEN + _BETWEEN.join([f"([^{_OPEN}]*?)"] * 3) + _CLOSE)


def either(parameters: str, runs: str, command: str | None = None) -> str:
    """Return a text that reads as `parameters` in Python, and as `runs` in the other layers.

    The other layers have runs, which can be resumed, so their advice may differ. On the command
    line it reads as `command`, if that is given. `renamed` chooses one of the texts.
    """
    return _OPEN + _BETWEEN.join((parameters, runs, runs if command is None else command)) + _CLOSE


def worded(
    text: str, layer: Layer = "configuration", options: Mapping[str, str] | None = None
) -> str:
    """Return `text` with the names of a layer (see `renamed`), cut to a readable length."""
    return bounded(renamed(text, layer, options))


def renamed(
    text: str, layer: Layer = "configuration", options: Mapping[str, str] | None = None
) -> str:
    """Return `text` with its keys of a configuration replaced by the names of a layer.

    Parameters
    ----------
    text
        A message that names settings by their keys.
    layer
        The layer in which the user works.
    options
        The parameters in Python that set options, by key (``fit.schedule_options.groups``) or by
        option of the model (``trials``), or a key (``data.non_finite``), if the names differ. The
        value for the key ``model.options`` is a parameter that holds all options of the model as
        a dict.
    """
    which = {"parameters": 1, "configuration": 2, "command": 3}[layer]
    text = _EITHER.sub(lambda found: found[which], text)
    if layer == "command":
        # "Set data.block_size to '1 MiB'" becomes "Pass --set data.block_size='1 MiB'".
        text = _VALUE.sub(_passed, _KEY.sub(_option, text))
    elif layer == "parameters":
        text = _KEY.sub(partial(_parameter, options or {}), text)
    return text


def _option(found: re.Match[str]) -> str:
    """Return the option of the command line that sets the key in `found`, or ``--set`` and it."""
    known = None if found["option"] else OPTIONS.get(found["key"])
    # Messages may spell out "--set fit.tol=0". It must not become "--set --tol=0".
    before = found.string[max(0, found.start() - 6) : found.start()]
    return found[0] if before == "--set " else known or f"--set {found[0]}"


def _passed(found: re.Match[str]) -> str:
    """Return advice to pass an option, in place of advice to set a key to a value."""
    return f"{'Pass' if found[1] == 'S' else 'pass'} {found[2]}='{found[3]}'"


def _parameter(options: Mapping[str, str], found: re.Match[str]) -> str:
    """Return the parameter in Python that corresponds to the key in `found`.

    An option of a key becomes an item, as in ``schedule_options['groups']``.
    """
    key, option = found["key"], found["option"]
    if (own := options.get(f"{key}.{option}" if option else key)) and key != "model.options":
        return own
    if key == "model.options" and option and key not in options:
        return options.get(option, option)
    if key == "model.options":  # Most classes have a parameter for each option.
        name = options.get(key, "the parameters")
    else:
        name = PARAMETERS.get(key, key.partition(".")[2])
    return f"{name}[{option!r}]" if option else name


def with_names(text: str, names: Sequence[str]) -> str:
    """Return `text` with the names of features behind their numbers: "feature 3 (depth=10)"."""

    def named(found: re.Match[str]) -> str:
        i = int(found[1])
        return found[0] if i >= len(names) else f"{found[0]} ({shortened(names[i], _NAME)})"

    return _FEATURE.sub(named, text)


def bounded(text: str) -> str:
    """Return `text` with long lines shortened in the middle, and without lines beyond `LINES`.

    A text of up to `LONGEST` characters in all stays as it is.
    """
    if len(text) <= LONGEST:
        return text
    lines = text.split("\n")
    more = len(lines) - LINES
    kept = [shortened(line, LONGEST) for line in lines[:LINES]]
    return "\n".join([*kept, f"... and {more} more lines"] if more > 0 else kept)


def shortened(text: str, longest: int) -> str:
    """Return `text`, without its middle if it is longer than `longest` characters."""
    if len(text) <= longest:
        return text
    first = longest * 2 // 3
    return f"{text[:first]} ... {text[len(text) - (longest - first - 5) :]}"
