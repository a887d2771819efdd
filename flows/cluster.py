"""Entry point of a clone: ``python -m flows.cluster`` runs `emdist.flows.cluster`."""

from emdist.flows.cluster import main
from emdist.flows.script import leave

if __name__ == "__main__":
    leave(main())
