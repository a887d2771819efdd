"""The words of messages: settings under the name that the user gave them, and a bounded length.

A fault is found where nobody knows who will read of it: someone who passes parameters in Python,
writes a configuration, or types options. So messages name settings by their key in a configuration
(``fit.n_init``), and the layer that shows them puts its own names in place of the keys.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Literal

#: Where the user is: parameters of Python, keys of a configuration, options of a command.
Layer = Literal["parameters", "configuration", "command"]

#: Characters of a line, and lines of a message, at most; the middle of what is longer is left out.
LONGEST, LINES = 900, 24

#: Options of the command line by the key that they set.
OPTIONS: Mapping[str, str] = {
    "data.weights": "--weights",
    "ingest.columns": "--column",
    "ingest.weight_column": "--weight-column",
    "ingest.dtype": "--dtype",
    "ingest.rows_per_chunk": "--rows-per-chunk",
    "ingest.overwrite": "--overwrite",
    "model.name": "--model",
    "model.n_components": "-k",
    "fit.init": "--init",
    "fit.seed": "--seed",
    "fit.n_init": "--n-init",
    "fit.max_iter": "--max-iter",
    "fit.tol": "--tol",
    "labels.path": "--labels",
    "run.key": "--run",
    "cluster.n_workers": "--workers",
    "cluster.address": "--scheduler",
    "sweep.n_components": "-k",
    "sweep.families": "--model",
    "sweep.criterion": "--criterion",
    "sweep.allow_degenerate": "--allow-degenerate",
}
#: Parameters by the key that they are in a configuration, where the names differ.
PARAMETERS: Mapping[str, str] = {
    "fit.seed": "random_state",
    "fit.start": "the start (init, means_init, weights_init)",
    "data.weights": "sample_weight",
    "data.path": "X",
}

#: Keys that messages name: `data.zarr` is none, but the name of a file.
KEYS: Mapping[str, str] = {
    "data": "path array weights storage_options block_size "
    "missing_chunks corrupt_chunks non_finite",
    "ingest": "source columns weight_column dtype rows_per_chunk overwrite",
    "model": "name n_components assignment assignment_options weights weights_options noise "
    "options uniform_weights precision min_weight missing dissimilarity",
    "fit": "seed init start n_init max_iter tol on_collapse sample_rows schedule schedule_options",
    "run": "key",
    "labels": "path write outputs overwrite storage_options",
    "cluster": "kind memory n_workers threads threads_per_worker memory_limit address "
    "stall_timeout workers_timeout",
    "sweep": "n_components families criterion allow_degenerate sums_memory",
}
_KEY = re.compile(
    r"(?<![\w./-])(?P<key>"
    + "|".join(rf"{section}\.(?:{'|'.join(keys.split())})" for section, keys in KEYS.items())
    + r")(?:(?<=options)\.(?P<option>[a-z][a-z_]*))?(?![\w/]|\.\w)"
)
_VALUE = re.compile(r"\b([Ss])et (--set [a-z_.]+) to '([^']*)'")
#: Characters between which two texts stand, for Python and for runs: no text of a user has them.
_OPEN, _BETWEEN, _CLOSE = "\ue000", "\ue001", "\ue002"
_EITHER = re.compile(f"{_OPEN}([^{_OPEN}]*?){_BETWEEN}([^{_OPEN}]*?){_CLOSE}")


def either(parameters: str, runs: str) -> str:
    """A text that is one in Python, and another where there is a run, which can be resumed."""
    return f"{_OPEN}{parameters}{_BETWEEN}{runs}{_CLOSE}"


def worded(
    text: str, layer: Layer = "configuration", options: Mapping[str, str] | None = None
) -> str:
    """`text` with the names of a layer, and of a length that can be read; see `renamed`."""
    return bounded(renamed(text, layer, options))


def renamed(
    text: str, layer: Layer = "configuration", options: Mapping[str, str] | None = None
) -> str:
    """`text` with the names of a layer.

    Parameters
    ----------
    text
        With keys of a configuration.
    layer
        Where the user is.
    options
        Parameters in Python by the option of the model, where the names differ.
    """
    text = _EITHER.sub(lambda found: found[1 if layer == "parameters" else 2], text)
    if layer == "command":
        # "Set data.block_size to '1 MiB'" is "Pass --set data.block_size='1 MiB'".
        text = _VALUE.sub(_passed, _KEY.sub(_option, text))
    elif layer == "parameters":
        text = _KEY.sub(partial(_parameter, options or {}), text)
    return text


def _option(found: re.Match[str]) -> str:
    known = None if found["option"] else OPTIONS.get(found["key"])
    # "--set fit.tol=0" stands there already.
    before = found.string[max(0, found.start() - 6) : found.start()]
    return known or (found[0] if before == "--set " else f"--set {found[0]}")


def _passed(found: re.Match[str]) -> str:
    return f"{'Pass' if found[1] == 'S' else 'pass'} {found[2]}='{found[3]}'"


def _parameter(options: Mapping[str, str], found: re.Match[str]) -> str:
    key, option = found["key"], found["option"]
    if key == "model.options" and option:
        return options.get(option, option)
    name = PARAMETERS.get(key, key.partition(".")[2])
    return f"{name}[{option!r}]" if option else name


def bounded(text: str) -> str:
    """`text` without the middle of lines that are too long, and without lines that are too many."""
    if len(text) <= LONGEST:
        return text
    lines = text.split("\n")
    more = len(lines) - LINES
    kept = [shortened(line, LONGEST) for line in lines[:LINES]]
    return "\n".join([*kept, f"... and {more} more lines"] if more > 0 else kept)


def shortened(text: str, longest: int) -> str:
    """`text` without its middle where it is longer than `longest` characters."""
    if len(text) <= longest:
        return text
    first = longest * 2 // 3
    return f"{text[:first]} ... {text[len(text) - (longest - first - 5) :]}"
