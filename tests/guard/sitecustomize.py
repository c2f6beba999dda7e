"""Keeps every Python process that the tests start off the network, and writes down each attempt.

It is found through PYTHONPATH, which the root's conftest.py sets; loopback and sockets in the file system are free.
"""

import os
import sys

FREE = ("localhost", "127.", "::1", "0.0.0.0", "::ffff:127.")


def _guard(event: str, arguments: tuple[object, ...]) -> None:
    if event == "socket.connect":
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    if not isinstance(host, str) or not host or host.startswith(FREE):
        return
    if log := os.environ.get("HARNESS_TEST_NETWORK_LOG"):
        with open(log, "a", encoding="utf-8") as file:  # noqa: PTH123 - this runs in every process, before anything is imported
            file.write(f"{event} {host!r} in {sys.argv[:3] if hasattr(sys, 'argv') else '?'}\n")
    raise OSError(f"the tests keep off the network; something asked for {host!r}")


sys.addaudithook(_guard)
