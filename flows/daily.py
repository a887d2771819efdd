"""Entry point of a clone: ``python -m flows.daily`` does what ``emdist flow daily`` does."""

from emdist.cli.flow import script

if __name__ == "__main__":
    script("daily")
