"""Entry points of a clone: ``python -m flows.NAME`` runs `emdist.flows.NAME`. Not installed."""
