"""The notices of everything that a bundle holds: `notices` returns one text, which the window's About opens."""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

COMMON = Path("/usr/share/common-licenses")  # Debian's texts, for wheels without any
TEXTS = {"LGPL": ("LGPL-3", "GPL-3"), "Apache": ("Apache-2.0",)}
HEAD = """livesnn is licensed under Apache-2.0. This bundle also holds the programs and libraries below, each under
its own licence.

Qt, with its Python modules PySide6 and shiboken6, is used under the GNU Lesser General Public License, version 3. Its
libraries are files of their own in the folder PySide6/Qt/lib. You may replace them with others that you have built.
Their sources are at https://download.qt.io/official_releases/QtForPython/ and
https://download.qt.io/official_releases/qt/. https://doc.qt.io/qt-6/licenses-used-in-qt.html lists what Qt itself
holds of others.
"""


def notices(libraries: Iterable[Path]) -> str:
    """Return the licences of livesnn's dependencies, of Python, and of libraries of the system (Debian, Ubuntu)."""
    python = Path(sysconfig.get_path("stdlib"), "LICENSE.txt")
    parts = {f"Python {sys.version.split()[0]}": [python.read_text(encoding="utf-8")]}
    for distribution in sorted(map(metadata.distribution, needed("livesnn")), key=lambda each: each.name.lower()):
        parts[f"{distribution.name} {distribution.version}"] = texts(distribution)
    for package in sorted({package_of(library) for library in libraries}):
        parts[package] = [Path("/usr/share/doc", package, "copyright").read_text(encoding="utf-8")]
    first_with: dict[str, str] = {}
    written = [HEAD]
    for name, licences in parts.items():
        written.append(f"\n{'=' * 80}\n{name}\n{'=' * 80}\n")
        for text in licences:
            first = first_with.setdefault(text, name)
            written.append(text if first == name else f"The same text as that of {first}.\n")
    return "\n".join(written)


def needed(name: str) -> set[str]:
    """Return the names of a distribution's dependencies, and of theirs, on this computer."""
    found: set[str] = set()
    left = [name]
    while left:
        for line in metadata.requires(left.pop()) or ():
            requirement = Requirement(line)
            wanted = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            if wanted and requirement.name not in found:
                found.add(requirement.name)
                left.append(requirement.name)
    return found


def texts(distribution: metadata.Distribution) -> list[str]:
    """Return the texts of a distribution's licences and notices; ends the program if there are none."""
    shipped = [
        Path(str(distribution.locate_file(file))).read_text(encoding="utf-8", errors="replace")
        for file in distribution.files or ()
        if re.search("licen[cs]e|copying|notice", file.name, re.IGNORECASE) and file.suffix in ("", ".txt", ".md")
    ]
    if shipped:
        return list(dict.fromkeys(shipped))
    said = distribution.metadata.get("License-Expression") or distribution.metadata.get("License") or ""
    for word, names in TEXTS.items():
        if word in said:
            return [f"{said}\n", *(Path(COMMON, name).read_text(encoding="utf-8") for name in names)]
    sys.exit(f"{distribution.name}: no text of its licence, {said!r}: add it to notices.py")


def package_of(library: Path) -> str:
    """Return the name of the Debian package that a library is of."""
    found = subprocess.check_output(["dpkg-query", "--search", f"*/{library.resolve().name}"], text=True)
    return found.partition(":")[0]
