"""Several fits, or the starts of one, advanced together in the same reads."""
