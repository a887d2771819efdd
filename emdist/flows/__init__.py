"""Prefect only here: ingest, the main job, labelling."""
