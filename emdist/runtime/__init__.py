"""The Python process and its installation: versions, arithmetic, interrupts, defects."""
