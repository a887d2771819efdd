"""What reads bytes and text from elsewhere, each with all that it may raise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import yaml

from emdist.errors import CheckpointError, ConfigError
from emdist.inputs.quoting import shown
from emdist.inputs.validation import parse_bytes
from emdist.settings.config import make_config
from emdist.settings.file import overridden
from emdist.store.places.location import Location, check_name
from emdist.store.runs.sealed import parse, unpack
from emdist.untrusted.yaml import read_yaml

#: Parser by name, and the errors that are its clean ones.
OF_BYTES: dict[str, tuple[Callable[[bytes], Any], tuple[type[Exception], ...]]] = {
    "state": (lambda data: unpack(data, "state"), (CheckpointError,)),
    "header": (
        lambda data: unpack(len(data).to_bytes(8, "little") + data, "state"),
        (CheckpointError,),
    ),
    "manifest": (lambda data: parse(data, "manifest"), (CheckpointError,)),
}
OF_TEXT: dict[str, tuple[Callable[[str], Any], tuple[type[Exception], ...]]] = {
    "yaml": (read_yaml, (yaml.YAMLError, ValueError)),
    "setting": (lambda text: overridden({}, [f"a.b={text}", text]), (ConfigError,)),
    "size": (parse_bytes, (ValueError,)),
    "location": (lambda text: (str(Location(text)), repr(Location(text))), (ConfigError,)),
    "name": (check_name, (ConfigError,)),
    "shown": (shown, ()),
    "config": (
        lambda text: make_config({"data": {"path": text}, "run": {"key": text}}),
        (ConfigError,),
    ),
}


def met(parser: Callable[[Any], Any], clean: tuple[type[Exception], ...], value: Any) -> bool:
    """Whether it was taken; any error that is not `clean` passes."""
    try:
        parser(value)
    except clean:
        return False
    return True
