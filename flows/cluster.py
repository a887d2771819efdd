"""Entry point of a clone: ``python -m flows.cluster`` does what ``emdist flow cluster`` does."""

from emdist.cli.flow import script

if __name__ == "__main__":
    script("cluster")
