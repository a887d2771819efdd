"""The oracle's tests fit through the same helper as the laws'."""

import sys
from pathlib import Path

# Test folders are no packages; pytest puts only a test's own folder on the path.
sys.path.insert(0, str(Path(__file__).parents[1] / "laws"))
