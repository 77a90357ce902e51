"""Connections below HTTP, for clients that misbehave."""

import contextlib
import socket
import ssl
import time
from urllib.parse import urlsplit

LIMIT_SECONDS = 20


def connected(endpoint, ca=None, timeout=LIMIT_SECONDS):
    address = urlsplit(endpoint)
    plain = socket.create_connection((address.hostname, address.port), timeout)
    if ca is None:
        return plain
    return ssl.create_default_context(cafile=ca).wrap_socket(plain, server_hostname=address.hostname)


def read_to_end(connection, limit=1 << 20):
    """What arrives until the other side closes or resets."""
    data = b""
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while len(data) < limit and (more := connection.recv(65536)):
            data += more
    return data


def answer_to(endpoint, *parts, ca=None, more_to_come=True):
    """Sends and reads to the end; a cut-off connection is an answer too, silence is not: it raises TimeoutError.

    Without `more_to_come` the sending side is closed, as by a client that died in the middle.
    """
    with connected(endpoint, ca) as connection:
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            for part in parts:
                connection.sendall(part)
        if ca is None and not more_to_come:
            # A connection that the server has reset already is "not connected".
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_WR)
        return read_to_end(connection)


def status_of(answer):
    """The status of an HTTP answer, 0 for a connection cut off without one."""
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.") else 0


def drip(endpoint, start, limit_seconds, ca=None):
    """Sends `start`, then a byte a second; true when the server cuts the connection within the limit."""
    deadline = time.monotonic() + limit_seconds
    with connected(endpoint, ca, timeout=1) as connection:
        with contextlib.suppress(ConnectionError, ssl.SSLEOFError):
            connection.sendall(start)
            while time.monotonic() < deadline:
                try:
                    # The second passes here, unless something is said sooner.
                    if not connection.recv(65536):
                        return True
                except TimeoutError:
                    connection.sendall(b"x")
            return False
        return True
