"""Says on which systems pip finds a wheel of everything that livesnn needs, without having those systems.

    python packaging/resolve_wheels.py                   # every system and Python
    python packaging/resolve_wheels.py "ARM64" --extra train --python 3.14

A line names what has no wheel, or is "ok". The exit code is 1 if that is more than docs/start.md says.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import NamedTuple

PYPROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
DARWIN = {13: 22, 14: 23, 15: 24, 26: 25}  # the kernel of a version of macOS
AS_ON = """
import json, sys
from pip._vendor.packaging import markers
environment = json.loads(sys.argv.pop(1))
markers.default_environment = lambda: dict(environment)
from pip._internal.cli.main import main
sys.exit(main())
"""
"""pip with another system's markers: --platform chooses the wheels only, sys_platform would stay this computer's."""


class System(NamedTuple):
    """What wheels are chosen for: a version of glibc or macOS, 0 on Windows."""

    name: str
    kind: str  # as sys.platform
    machine: str  # as platform.machine()
    version: int = 0
    lacking: tuple[str, ...] = ()  # Pythons for which something is known to have no wheel

    def platforms(self) -> list[str]:
        """Return the tags of wheels that this system takes, but for those that pip adds."""
        if self.kind == "win32":
            return ["win_" + self.machine.lower()]
        if self.kind == "darwin":
            return [f"macosx_{self.version}_0_{self.machine}"]
        return [f"manylinux_2_{minor}_{self.machine}" for minor in range(self.version, 4, -1)] + [
            f"manylinux2014_{self.machine}",
            f"linux_{self.machine}",
        ]

    def markers(self, python: str) -> dict[str, str]:
        """Return the values of PEP 508's markers."""
        release = f"{DARWIN[self.version]}.0.0" if self.kind == "darwin" else ""
        return {
            "implementation_name": "cpython",
            "implementation_version": f"{python}.0",
            "os_name": "nt" if self.kind == "win32" else "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_release": release,
            "platform_system": {"linux": "Linux", "win32": "Windows", "darwin": "Darwin"}[self.kind],
            "platform_version": f"Darwin Kernel Version {release}" if release else "",
            "python_full_version": f"{python}.0",
            "python_version": python,
            "sys_platform": self.kind,
        }


SYSTEMS = (
    System("Linux x86-64, glibc 2.31 (Debian 11)", "linux", "x86_64", 31, lacking=PYTHONS),
    System("Linux x86-64, glibc 2.34 (RHEL 9)", "linux", "x86_64", 34),
    System("Linux ARM64, glibc 2.36 (Debian 12)", "linux", "aarch64", 36, lacking=PYTHONS),
    System("Linux ARM64, glibc 2.39 (Ubuntu 24.04)", "linux", "aarch64", 39),
    System("Windows x86-64", "win32", "AMD64"),
    System("Windows ARM64", "win32", "ARM64", lacking=PYTHONS),
    System("macOS 13, Apple silicon", "darwin", "arm64", 13, lacking=("3.14",)),
    System("macOS 14, Apple silicon", "darwin", "arm64", 14),
    System("macOS 15, Apple silicon", "darwin", "arm64", 15),
    System("macOS 26, Apple silicon", "darwin", "arm64", 26),
    System("macOS 13, Intel", "darwin", "x86_64", 13, lacking=("3.14",)),
    System("macOS 26, Intel", "darwin", "x86_64", 26, lacking=("3.14",)),
)


def without_wheel(system: System, python: str, requirements: list[str]) -> list[str]:
    """Return what has no wheel there; a dependency of a dependency ends the search."""
    missing: list[str] = []
    while True:
        with tempfile.TemporaryDirectory() as folder:
            asked = ["install", "--dry-run", "--quiet", "--no-input", "--disable-pip-version-check"]
            asked += ["--only-binary=:all:", "--python-version", python, "--target", folder]
            asked += [word for platform in system.platforms() for word in ("--platform", platform)]
            command = [sys.executable, "-c", AS_ON, json.dumps(system.markers(python)), *asked, *requirements]
            done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode == 0:
            return missing
        found = re.search(r"No matching distribution found for (\S+)", done.stderr)
        if found is None:
            sys.exit(f"{system.name}, Python {python}: pip failed:\n{done.stderr}")
        missing.append(found[1])
        left = [each for each in requirements if not each.startswith(found[1])]
        if len(left) == len(requirements):
            return missing
        requirements = left


def main() -> None:
    """Print a line for each system and Python."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("name", nargs="?", default="", help="a part of the systems' names")
    parser.add_argument("--python", choices=PYTHONS, action="append", help="a version; several times for more")
    parser.add_argument("--extra", action="append", default=[], help="an extra of pyproject.toml, as train")
    flags = parser.parse_args()
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    requirements = [*project["dependencies"]]
    for extra in flags.extra:
        requirements += project["optional-dependencies"][extra]
    worse = False
    for system in SYSTEMS:
        if flags.name.lower() not in system.name.lower():
            continue
        for python in flags.python or PYTHONS:
            missing = without_wheel(system, python, requirements)
            worse |= bool(missing) and python not in system.lacking
            print(
                f"{system.name:42} {python}  {'no wheel: ' + ', '.join(missing) if missing else 'ok'}",
                flush=True,
            )
    sys.exit(worse)


if __name__ == "__main__":
    main()
