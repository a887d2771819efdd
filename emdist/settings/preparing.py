"""The JSON schema of the steps that prepare rows."""

from __future__ import annotations

from typing import Any

from emdist.inputs.plugins import plugins
from emdist.parameters.configuration import CONFIGURATION
from emdist.prepare.making import STEPS


def step_schema(schema: dict[str, Any]) -> None:
    """Let the schema of a list of steps accept names of steps, and names with their options."""
    names = sorted(plugins(STEPS, "step"))
    any_options = {"anyOf": [{"type": kind} for kind in ("object", "number", "string", "array")]}
    schema["type"] = ["array", "null"]
    schema["description"] = CONFIGURATION["prepare"].sentences
    schema["items"] = {
        "anyOf": [
            {"type": "string", "enum": names},
            {
                "type": "object",
                "properties": dict.fromkeys(names, any_options),
                "additionalProperties": False,
                "minProperties": 1,
                "maxProperties": 1,
            },
        ]
    }
