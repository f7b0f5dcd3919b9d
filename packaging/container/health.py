"""The container's health check: fails unless livesnn answers at a port. health.py PORT."""

from __future__ import annotations

import os
import ssl
import sys
import urllib.request
from pathlib import Path

TIMEOUT_S = 4
SERVER = Path("/proc/1/cmdline")
"""The arguments of the container's first process, each with an octet 0 behind it."""


def scheme_of(arguments: bytes) -> str:
    """Return "https" where livesnn serve was given a certificate, else "http"."""
    return "https" if any(each.startswith(b"--cert") for each in arguments.split(b"\0")) else "http"


def main() -> None:
    """Ask for /status, with the token of LIVESNN_TOKEN."""
    scheme = scheme_of(SERVER.read_bytes() if SERVER.exists() else b"")
    url = f"{scheme}://127.0.0.1:{sys.argv[1]}/status"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {os.environ.get('LIVESNN_TOKEN', '')}"})
    itself = ssl.create_default_context()
    itself.check_hostname, itself.verify_mode = False, ssl.CERT_NONE  # its certificate is for another name
    no_proxy = urllib.request.ProxyHandler({})  # Docker gives containers the host's
    opener = urllib.request.build_opener(no_proxy, urllib.request.HTTPSHandler(context=itself))
    try:
        opener.open(request, timeout=TIMEOUT_S).close()
    except OSError as error:
        sys.exit(f"{url}: {error}")


if __name__ == "__main__":
    main()
