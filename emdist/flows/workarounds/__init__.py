"""What Prefect makes necessary, one workaround per module.

Each first docstring says what Prefect does, in which public issue, and when the module can go.
docs/prefect.md lists them.
"""
