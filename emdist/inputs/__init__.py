"""User inputs: checks names, numbers, options, arrays and frames, and refuses what is invalid."""
