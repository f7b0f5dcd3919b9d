"""The container's health check: fails unless livesnn answers at a port. health.py PORT."""

from __future__ import annotations

import os
import sys
import urllib.request

TIMEOUT_S = 4


def main() -> None:
    """Ask for /status, with the token of LIVESNN_TOKEN."""
    url = f"http://127.0.0.1:{sys.argv[1]}/status"
    request = urllib.request.Request(
        url, headers={"Authorization": f"Bearer {os.environ.get('LIVESNN_TOKEN', '')}"}
    )
    try:
        urllib.request.urlopen(request, timeout=TIMEOUT_S).close()
    except OSError as error:
        sys.exit(f"{url}: {error}")


if __name__ == "__main__":
    main()
