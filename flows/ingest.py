"""Entry point of a clone: ``python -m flows.ingest`` does what ``emdist flow ingest`` does."""

from emdist.cli.flow import script

if __name__ == "__main__":
    script("ingest")
