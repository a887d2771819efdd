"""A TCP relay on the loopback that can be cut and restored: an outage between two who both live."""

from __future__ import annotations

import contextlib
import socket
import threading


class Relay:
    """Listens on a port of its own and relays to another.

    It has state, the connections, because `cut` ends them and refuses new ones until `restore`.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._whole = True
        self._pairs: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """End all connections, and every new one at once."""
        with self._lock:
            self._whole, pairs, self._pairs = False, self._pairs, set()
        for one in pairs:
            _end(one)

    def restore(self) -> None:
        """Relay again."""
        with self._lock:
            self._whole = True

    def close(self) -> None:
        """For good."""
        self.cut()
        _end(self._listener)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                with self._lock:
                    whole = self._whole
                try:
                    if not whole:
                        raise ConnectionError
                    far = socket.create_connection(self._target, timeout=10)
                except OSError:
                    _end(near)
                    continue
                far.settimeout(None)
                with self._lock:
                    self._pairs |= {near, far}
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=_pump, args=(one, other), daemon=True).start()


def _pump(one: socket.socket, other: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := one.recv(1 << 16):
            other.sendall(data)
    _end(one)
    _end(other)


def _end(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
