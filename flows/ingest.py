"""Entry point of a clone: ``python -m flows.ingest`` runs `emdist.flows.ingest`."""

from emdist.flows.ingest import main
from emdist.flows.script import leave

if __name__ == "__main__":
    leave(main())
