"""Location: the address of a folder or file, as a local path or a URL, and how to open it."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from emdist.errors import CheckpointError, ConfigError
from emdist.runtime.defects import is_defect
from emdist.runtime.extras import need
from emdist.store.places.credentials import IDENTITY, check_credentials, without_user
from emdist.store.places.retry_options import RETRY_OPTIONS, retries
from emdist.store.places.zip_paths import zip_at

if TYPE_CHECKING:
    from zarr.abc.store import Store

#: The URL schemes that `Location` accepts. A ``memory`` store exists in one process only: for
#: tests.
SCHEMES = ("file", "s3", "s3a", "gs", "az", "azure", "abfs", "abfss", "http", "https", "memory")

#: The options of obstore's HTTP client. All other options belong to the store.
_CLIENT_OPTIONS = (
    *("allow_http", "allow_invalid_certificates", "connect_timeout", "default_content_type"),
    *("pool_idle_timeout", "pool_max_idle_per_host", "proxy_url", "proxy_ca_certificate"),
    *("proxy_excludes", "root_certificate", "randomize_addresses", "read_timeout", "timeout"),
    "user_agent",
)

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_Options: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True, repr=False)
class Location:
    """A local path or a URL, small and picklable. Nothing is opened until it is used.

    Parameters
    ----------
    url
        A local path, a file:// URL, or a URL of one of `SCHEMES`. A path is stored as an absolute
        path, because workers have other working directories.
    options
        Settings of the object store, by obstore's names (``endpoint``, ``region``,
        ``access_key_id``, ``allow_http``, ...). They are never shown.
    inside
        The folder that a user gave and that must contain this location. `child` sets it.

    Raises
    ------
    ConfigError
        For an unknown scheme, or an option that is no plain value.
    """

    url: str
    options: Mapping[str, str] = field(default_factory=dict, hash=False)
    inside: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", _normalise(os.fspath(self.url)))
        object.__setattr__(self, "options", dict(_plain(self.options)))

    @property
    def is_local(self) -> bool:
        """Whether this is a path of the file system."""
        return _SCHEME.match(self.url) is None

    @property
    def scheme(self) -> str:
        """The URL's scheme in lower case; ``file`` for a path."""
        return "file" if self.is_local else urlsplit(self.url).scheme

    @property
    def path(self) -> Path:
        """The path of a local location. A URL raises ConfigError."""
        if not self.is_local:
            raise ConfigError(f"{self} is a URL, but a local path is needed here.")
        return Path(self.url)

    @property
    def name(self) -> str:
        """The last part of the path, or the bucket if there is no path."""
        if self.is_local:
            return self.path.name
        parts = urlsplit(self.url)
        return unquote(parts.path.rstrip("/").rpartition("/")[2]) or _host(parts)

    @property
    def parent(self) -> Location:
        """The folder that contains this location; a root or bucket is its own parent."""
        if self.is_local:
            return Location(str(self.path.parent), self.options)
        parts = urlsplit(self.url)
        return Location(
            urlunsplit(parts._replace(path=parts.path.rpartition("/")[0])), self.options
        )

    def child(self, name: str) -> Location:
        """Return the location at the relative path `name` below this one.

        Raise ConfigError if the path leads outside.
        """
        check_name(name)
        inside = self.inside or self.url
        if self.is_local:
            return Location(str(self.path / name), self.options, inside)
        parts = urlsplit(self.url)
        below = parts._replace(path=f"{parts.path.rstrip('/')}/{name}")
        return Location(urlunsplit(below), self.options, inside)

    def is_within(self, other: Location) -> bool:
        """Return whether this is `other` or below it, after links are resolved."""
        if self.is_local != other.is_local:
            return False
        if self.is_local:
            # `Path.resolve` raises an error for a circle of links; realpath does not.
            there, taken = (Path(os.path.realpath(one.url)) for one in (self, other))
            return there.is_relative_to(taken)
        return f"{self}/".startswith(f"{other}/")

    @property
    def given(self) -> Location:
        """The same location as if the user had named it: it may be a link to another place."""
        return Location(self.url, self.options)

    def __str__(self) -> str:
        """Return the path, or the URL without user, password, query and fragment: safe to print."""
        if self.is_local:
            return self.url
        parts = urlsplit(self.url)
        hidden = "?..." if parts.query or parts.fragment else ""
        return f"{parts.scheme}://{_host(parts)}{parts.path}{hidden}"

    def __repr__(self) -> str:
        hidden = ", options=<hidden>" if self.options else ""
        return f"Location({str(self)!r}{hidden})"


def check_name(name: str) -> None:
    """Raise ConfigError for a relative path that is empty, absolute or contains ``..``."""
    if not name or "\0" in name or any(part in ("", ".", "..") for part in name.split("/")):
        raise ConfigError(
            f"{name!r} is not a valid name inside a folder; use parts joined by a single '/'."
        )


def check_links(location: Location) -> None:
    """Raise CheckpointError if a symbolic link leads a local path out of the folder that was given.

    Whoever supplied the folder could have put links into it, so nothing is read or written through
    them. The folder itself may be a link, because the user named it.
    """
    if not location.is_local or not location.inside:
        return
    root, path = Path(location.inside), location.path
    below = path.relative_to(root).as_posix()
    if os.path.realpath(path) != os.path.join(os.path.realpath(root), below):  # noqa: PTH118
        raise CheckpointError(
            f"{path} leads out of {root} by a symbolic link, which emdist does not follow. Put the "
            "file or folder itself there, or give the path of the place where it is."
        )


def _host(parts: SplitResult) -> str:
    """Return host and port of a URL, without user and password."""
    return parts.netloc.rpartition("@")[2]


def _check_port(parts: SplitResult) -> None:
    """Raise ConfigError if the port is no number.

    Usually that is a password that was cut at its "/", so it is not shown.
    """
    try:
        _ = parts.port
    except ValueError:
        raise ConfigError(
            f"a {parts.scheme}:// URL has text after a ':' that is not a port number (not shown, "
            "because it may be a secret). Write '/' in a user name or password as %2F, or use "
            "storage_options."
        ) from None


def _normalise(url: str) -> str:
    """Return a local path as an absolute path, or a URL without a "/" at its end."""
    match = _SCHEME.match(url)
    if match is None:
        return _local(url)
    scheme = match[1].lower()
    if scheme not in SCHEMES:
        raise ConfigError(
            f"the scheme {scheme}:// is not known; use a local path or one of "
            + ", ".join(f"{known}://" for known in SCHEMES)
        )
    try:
        parts = urlsplit(url)
    except ValueError:  # Its message may show a password.
        raise ConfigError(
            f"the host of a {scheme}:// URL cannot be read. Write [ and ] only around an IPv6 "
            "address, and the host in plain letters."
        ) from None
    if scheme != "file":
        _check_port(parts)
        if not parts.netloc:
            raise ConfigError(
                f"a {scheme}:// URL needs a bucket or host, as in {scheme}://bucket/path."
            )
        return urlunsplit(parts._replace(path=parts.path.rstrip("/")))
    if parts.netloc not in ("", "localhost"):
        raise ConfigError(f"the URL file://{_host(parts)}/ names another host; write file:///path.")
    return _local(unquote(parts.path))


def _local(path: str) -> str:
    """Return an absolute local path. Raise ConfigError for what is no path."""
    scheme, colon, rest = path.partition(":")
    if colon and rest.startswith("/") and scheme in SCHEMES:
        raise ConfigError(f"{scheme}:/... is neither a path nor a URL; write {scheme}://...")
    if not path or "\0" in path:
        raise ConfigError(f"{path!r} is not a path; give a local path or a URL.")
    try:
        whole = Path(path).expanduser()
    except RuntimeError as error:
        raise ConfigError(
            f"{path[:100]!r} is not a path ({error}); write ./ before a name that begins with ~."
        ) from None
    return str(Path(os.path.abspath(whole)))  # noqa: PTH100 - keeps symlinks, drops ".."


def _plain(options: Mapping[str, Any]) -> _Options:
    """Return options as sorted pairs of strings, which are hashable and accepted by obstore."""
    pairs = []
    for key, value in sorted(options.items()):
        if not isinstance(value, str | int | float):
            raise ConfigError(f"the storage option {key!r} must be text, a number or true/false.")
        pairs.append((str(key), str(value).lower() if isinstance(value, bool) else str(value)))
    return tuple(pairs)


#: With this lock, two threads that open one location at once get the same store. `cache` alone
#: would make two, and a ``memory://`` store would then have separate contents in each.
_OPENING = threading.RLock()


def open_zarr_store(location: Location, read_only: bool = True) -> Store:
    """Return the Zarr store rooted at `location`, opened once per process.

    Unpickled copies of a location share the store, because every open object store has its own
    connection pool. A ``memory://`` store holds what was written under exactly that URL.

    Raises
    ------
    ConfigError
        If obstore is not installed, or does not accept the URL or its options; if a ZIP file is to
        be written.
    """
    check_links(location)
    if (zipped := zip_at(location.url)) is not None:
        from emdist.store.places.zip_files import zip_store

        return zip_store(*zipped, read_only)
    with _OPENING:
        return _zarr_store(location.url, _plain(location.options), read_only)


@cache
def _zarr_store(url: str, options: _Options, read_only: bool) -> Store:
    import zarr.storage

    location = Location(url, dict(options))
    if location.is_local:
        from emdist.store.places.local_store import RegularFiles

        return RegularFiles(location.path, read_only=read_only)
    from emdist.store.places.retries import Patient

    return Patient(zarr.storage.ObjectStore(open_object_store(location), read_only=read_only))


def open_object_store(location: Location) -> Any:
    """Return the obstore store rooted at `location`, opened once per process.

    It raises the errors of `open_zarr_store`.
    """
    with _OPENING:
        return _object_store(location.url, _plain(location.options))


@cache
def _object_store(url: str, options: _Options) -> Any:
    location = Location(url, dict(options))
    need("obstore", str(location))
    import obstore.exceptions
    import obstore.store

    if location.scheme == "memory":
        return obstore.store.MemoryStore()
    address, headers = without_user(url)
    # obstore panics (a BaseException) if `config` holds a client option, so they are separated.
    client: dict[str, Any] = {key: value for key, value in options if key in _CLIENT_OPTIONS}
    others = (*client, *RETRY_OPTIONS, IDENTITY)
    config = {key: value for key, value in options if key not in others}
    if headers:
        client["default_headers"] = headers
    keywords = {"client_options": client, "config": config, "retry_config": retries(options)}
    try:
        store = obstore.store.from_url(address, **{k: v for k, v in keywords.items() if v})
    except (obstore.exceptions.BaseError, ValueError, TypeError) as error:
        if is_defect(error, _open_sound_store):
            raise
        # obstore's message may quote the URL with its password, so only its redacted first line is
        # kept.
        reason = (str(error).splitlines() or [""])[0].replace(address, str(location)).rstrip(".")
        raise ConfigError(
            f"cannot open {location}: {reason}. Check the URL and the storage options "
            f"({', '.join(dict(options)) or 'none are given'})."
        ) from None
    check_credentials(store, url, str(location), dict(options))
    return store


def _open_sound_store() -> None:
    """Open a store with a valid URL and options, as the control that `is_defect` needs."""
    import obstore.store

    tried = retries((("max_retries", "1"), ("init_backoff", "1")))
    obstore.store.from_url("s3://bucket/folder", config={"region": "eu-west-1"}, retry_config=tried)
