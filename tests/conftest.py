"""Which random data the laws are held to: the same every time, or with RANDOM_LAWS=n new ones."""

from __future__ import annotations

import os

from hypothesis import settings

# A gate that fails by luck blames the wrong change; `make test-random` looks for new cases.
settings.register_profile("repeatable", derandomize=True)
settings.register_profile("random", print_blob=True)
settings.load_profile("random" if os.environ.get("RANDOM_LAWS") else "repeatable")
