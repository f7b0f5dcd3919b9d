"""Programs of others that tests talk to or draw on, and are skipped without: `make counterparts` installs them.

As root on Debian or Ubuntu, apt-get does. Elsewhere only Chromium is installed, playwright's own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

PACKAGES = {
    "mosquitto": "mosquitto",
    "mosquitto_sub": "mosquitto-clients",
    "oscdump": "liblo-tools",
    "Xvfb": "xvfb",
    "openbox": "openbox",
    "xdotool": "xdotool",
    "openssl": "openssl",
    "zsh": "zsh",
    "fish": "fish",
    "c++": "g++",  # builds messages of ROS 2
}
"""Debian's package of each program."""

WINDOW = (
    *("libegl1", "libgl1", "libdbus-1-3", "libfontconfig1", "libxkbcommon0", "libxkbcommon-x11-0"),
    *("libxcb-cursor0", "libxcb-icccm4", "libxcb-keysyms1", "libxcb-image0", "libxcb-render-util0"),
    *("libxcb-xkb1", "libxcb-xinerama0"),
)
"""Debian's packages of what Qt's windows need, as in docs/start.md."""

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")

APT = ("apt-get", "--quiet=2", "--yes", "--no-install-recommends", "-o", "Acquire::http::Timeout=20")
WAIT_S = 300


def find(program: str) -> str | None:
    """Return the path of a program, which may be a server that isn't in every user's PATH."""
    servers = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")
    return shutil.which(program, path=os.pathsep.join((os.environ.get("PATH", ""), *servers)))


def find_chromium() -> str | None:
    """Return the path of the system's Chromium; playwright knows its own."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def run(*command: str) -> bool:
    """Run a command that may fail, and say in one line why it has."""
    try:
        done = subprocess.run(
            command,
            env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=WAIT_S,
        )
    except subprocess.TimeoutExpired as error:
        sys.stderr.write(f"{error}\n")
        return False
    if done.returncode:
        why = (line for line in done.stderr.splitlines() if line.startswith(("E: ", "Error")))
        sys.stderr.write(f"{' '.join(command)}: {next(why, f'exit code {done.returncode}')}\n")
    return done.returncode == 0


def missing() -> list[str]:
    return [package for program, package in PACKAGES.items() if find(program) is None]


def main() -> None:
    """Install what is missing, where it can be, and say in one line what still is."""
    packages = missing()
    if (packages or not find_chromium()) and shutil.which("apt-get") and os.geteuid() == 0:
        sys.stderr.write("installing programs that tests talk to\n")
        run(*APT, "update")
        if packages:
            run(*APT, "install", *packages, *WINDOW * ("xvfb" in packages))
        if not find_chromium():
            run(*APT, "install", "chromium-headless-shell")  # which Ubuntu doesn't have
    packages = missing()
    if not find_chromium() and not run(sys.executable, "-m", "playwright", "install", "--only-shell", "chromium"):
        packages.append("chromium")
    if packages:
        names = " ".join(packages)
        sys.stderr.write(f"some tests will be skipped: install {names}, then run make counterparts\n")


if __name__ == "__main__":
    main()
