"""Places: local folders and object stores, with their files, failures and credentials."""
