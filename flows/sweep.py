"""Entry point of a clone: ``python -m flows.sweep`` runs `emdist.flows.sweep`."""

from emdist.flows.script import leave
from emdist.flows.sweep import main

if __name__ == "__main__":
    leave(main())
