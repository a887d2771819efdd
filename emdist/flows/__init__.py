"""Prefect flows: ingest, fit (`cluster`), sweep and label. Only this package imports Prefect."""
