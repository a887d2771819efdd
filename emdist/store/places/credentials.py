"""Credentials of object stores: checks that only credentials that the user chose are used.

obstore looks for credentials in the options, then in environment variables, and at last asks the
metadata service of the machine for the machine's identity. emdist permits the last step only if the
user requests it. Otherwise the request could wait for an address that does not answer, or read data
under another identity.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from emdist.errors import ConfigError

#: The storage option by which a user chooses the identity of the machine.
IDENTITY = "instance_identity"

#: Prefixes of obstore's options and of environment variables, longest first.
_PREFIXES = ("azure_storage_", "aws_", "google_", "azure_")

#: For each kind of store: its name, the options that are credentials or choose an identity, the
#: environment variables that users set, and the file that the store finds by itself.
_STORES: dict[str, tuple[str, frozenset[str], str, str]] = {
    "S3Store": (
        "S3",
        frozenset(
            (
                *("access_key_id", "secret_access_key", "web_identity_token_file"),
                *("container_credentials_relative_uri", "container_credentials_full_uri"),
                "metadata_endpoint",
            )
        ),
        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (profiles in ~/.aws are not read)",
        "",
    ),
    "GCSStore": (
        "Google Cloud Storage",
        frozenset(
            (
                *("service_account", "service_account_path", "service_account_key"),
                *("application_credentials", "bearer_token"),
            )
        ),
        "GOOGLE_APPLICATION_CREDENTIALS (the path of a key file)",
        "~/.config/gcloud/application_default_credentials.json",
    ),
    "AzureStore": (
        "Azure",
        frozenset(
            (
                *("account_key", "access_key", "master_key", "client_id", "client_secret"),
                *("sas_key", "sas_token", "token", "bearer_token", "federated_token_file"),
                *("use_emulator", "use_azure_cli", "msi_endpoint", "identity_endpoint"),
                *("msi_resource_id", "object_id", "fabric_session_token"),
            )
        ),
        "AZURE_STORAGE_ACCOUNT_KEY, or AZURE_STORAGE_SAS_TOKEN",
        "",
    ),
}


def without_user(url: str) -> tuple[str, dict[str, str]]:
    """Return `url` without user and password, and the HTTP headers that carry them instead."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    if not at or parts.scheme not in ("http", "https"):
        return url, {}
    name, _, password = user.partition(":")
    told = base64.b64encode(f"{unquote(name)}:{unquote(password)}".encode()).decode()
    return urlunsplit(parts._replace(netloc=host)), {"Authorization": f"Basic {told}"}


def check_credentials(store: Any, url: str, place: str, options: Mapping[str, str]) -> None:
    """Raise ConfigError if `store` would ignore credentials that the user gave, or use others.

    Parameters
    ----------
    store
        The store as obstore opened it; nothing has been requested yet.
    url
        The URL as the user gave it.
    place
        The URL as messages show it.
    options
        The storage options as the user gave them.
    """
    kind = _STORES.get(type(store).__name__)
    if kind is None:
        return
    _check_url(url, place)
    if not _is_true(options.get(IDENTITY)):
        _check_identity(kind, place, options)


def _check_url(url: str, place: str) -> None:
    """Raise ConfigError if the store would ignore a user, a query or a fragment of `url`."""
    parts = urlsplit(url)
    user, at, _ = parts.netloc.rpartition("@")
    # In abfss://container@account.dfs.core.windows.net, the part before "@" is no user.
    ignored = at and not (parts.scheme in ("abfs", "abfss") and ":" not in user)
    if not ignored and not parts.query and not parts.fragment:
        return
    where = "before '@'" if ignored else "after '?' or '#'"
    raise ConfigError(
        f"{place}: the URL contains text {where} (not shown, because it may be a secret), which "
        "the store would ignore. Remove it, and put credentials into storage_options "
        "(access_key_id, secret_access_key, token; sas_token for Azure) or into environment "
        "variables."
    )


def _check_identity(
    kind: tuple[str, frozenset[str], str, str], place: str, options: Mapping[str, str]
) -> None:
    """Raise ConfigError if no credentials are found: the machine's identity would be used."""
    name, known, variables, file = kind
    given = {_bare(key): value for key, value in options.items()}
    environment = {_bare(key): value for key, value in os.environ.items() if _is_vendors(key)}
    found = environment | given
    if _is_true(found.get("skip_signature")) or any(found.get(key) for key in known):
        return
    if file and Path(file).expanduser().exists():
        return
    raise ConfigError(
        f"{place}: emdist found no credentials for {name}. Set {variables}, or the same in "
        "storage_options. For a public bucket, set the storage option skip_signature: true. To use "
        f"the identity of this machine (an instance role), set {IDENTITY}: true."
    )


def _bare(key: str) -> str:
    """Return the common name of all spellings of an option or environment variable."""
    name = key.lower()
    return next((name.removeprefix(p) for p in _PREFIXES if name.startswith(p)), name)


def _is_vendors(variable: str) -> bool:
    """Return whether an environment variable is one that obstore reads."""
    return variable.lower().startswith(_PREFIXES) or variable in ("SERVICE_ACCOUNT",)


def _is_true(value: str | None) -> bool:
    return (value or "").lower() in ("true", "1", "yes", "on")
