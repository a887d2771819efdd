"""The one table of parameters: type, default, meaning and when to change each of them.

Docstrings of estimators, ``--help``, ``config/reference.yaml``, the JSON schema and the reference
page are made of it by ``python -m tools.parameters``; a test holds them together.
"""
