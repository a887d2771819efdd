"""The Prefect flows: ingest, fit (`cluster`), sweep and label. Only this package uses Prefect."""
