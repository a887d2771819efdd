"""Entry point of a clone: ``python -m flows.label`` does what ``emdist flow label`` does."""

from emdist.cli.flow import script

if __name__ == "__main__":
    script("label")
