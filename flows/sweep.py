"""Entry point of a clone: ``python -m flows.sweep`` does what ``emdist flow sweep`` does."""

from emdist.cli.flow import script

if __name__ == "__main__":
    script("sweep")
