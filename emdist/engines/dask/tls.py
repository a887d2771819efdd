"""TLS between client, scheduler and workers: only holders of trusted certificates can connect."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from pathlib import Path

from distributed.security import Security
from pydantic import ConfigDict

from emdist.errors import ConfigError


@dataclass(frozen=True)
class Tls:
    """Paths of PEM certificates. Each side shows its own and requires one from the other.

    Whoever reaches a scheduler can run code on it. With TLS, that takes a certificate signed by the
    authority, and the transferred data (rows, parameters, storage options) are encrypted.

    Parameters
    ----------
    ca_file
        The certificate of the authority that signed all others. Use an authority for this cluster
        alone.
    cert
        The certificate of this side.
    key
        The private key of this side. Give its path and never the text itself, because
        configurations are stored and shown.
    """

    # Unknown keys are refused, as everywhere in a configuration.
    __pydantic_config__ = ConfigDict(extra="forbid")

    ca_file: str
    cert: str
    key: str

    def security(self) -> Security:
        """Return the `Security` for a client and clusters that send and accept nothing unencrypted.

        Raises
        ------
        ConfigError
            If a file does not exist or is not what it should be.
        """
        files = self._files()
        try:
            context = ssl.create_default_context(cafile=files["ca_file"])
            context.load_cert_chain(files["cert"], files["key"], password=_no_password)
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"cluster.tls: the certificates cannot be used ({type(error).__name__}: "
                f"{getattr(error, 'reason', None) or error}). Expected PEM files: the certificate "
                "of the authority, the certificate of this side, and its private key without a "
                "password."
            ) from None
        sides = ("client", "scheduler", "worker")
        return Security(
            require_encryption=True,
            tls_ca_file=files["ca_file"],
            **{f"tls_{side}_cert": files["cert"] for side in sides},
            **{f"tls_{side}_key": files["key"] for side in sides},
        )

    def configuration(self) -> dict[str, object]:
        """Return the same as settings of Dask's configuration, which other processes can get.

        The files must have the same paths where those processes run.
        """
        files = self._files()
        sides = ("client", "scheduler", "worker")
        return {
            "distributed.comm.tls.ca-file": files["ca_file"],
            **{f"distributed.comm.tls.{side}.cert": files["cert"] for side in sides},
            **{f"distributed.comm.tls.{side}.key": files["key"] for side in sides},
            "distributed.comm.require-encryption": True,
            "distributed.comm.default-scheme": "tls",
        }

    def _files(self) -> dict[str, str]:
        return {name: _file(name, getattr(self, name)) for name in ("ca_file", "cert", "key")}


def _file(name: str, path: str) -> str:
    """Return an absolute path, because workers have other working directories."""
    found = Path(os.path.expanduser(path)).absolute()  # noqa: PTH111  it never raises
    if "\0" in path or "-----BEGIN" in path or not found.is_file():
        told = "the text of a certificate or key" if "-----BEGIN" in path else repr(path[:100])
        raise ConfigError(f"cluster.tls.{name} is {told}, expected the path of a PEM file.")
    return str(found)


def _no_password() -> str:
    raise ValueError("the private key is encrypted with a password")
