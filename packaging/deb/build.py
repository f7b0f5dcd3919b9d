"""Makes a Debian package of the folder dist/livesnn, which `make bundle` makes: make deb."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUNDLE = ROOT / "dist/livesnn"
TREE = ROOT / "build/deb"
# Since Ubuntu 24.04 and Debian 13, the package of GLib has another name.
QT_LIBRARIES = ", ".join((HERE.parent / "qt-libraries.txt").read_text().split()).replace(
    "libglib2.0-0", "libglib2.0-0t64 | libglib2.0-0"
)
CONTROL = """Package: livesnn
Version: {version}
Architecture: {architecture}
Maintainer: The developers of livesnn <livesnn@users.noreply.github.com>
Installed-Size: {size_kib}
Depends: libc6 (>= {glibc}), {libraries}
Section: science
Priority: optional
Homepage: https://github.com/livesnn/livesnn
Description: recognises gestures and objects with an event camera
 livesnn recognises gestures and objects in the stream of an event camera,
 live, with a spiking neural network. It shows and records the stream, and
 sends decisions to other programs.
"""


def put(source: Path, folder: str, name: str = "") -> None:
    """Copy a file to a folder of the package."""
    target = TREE / folder / (name or source.name)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def main() -> None:
    """Write dist/livesnn_VERSION_ARCHITECTURE.deb."""
    os.umask(0o022)
    shutil.rmtree(TREE, ignore_errors=True)
    shutil.copytree(BUNDLE, TREE / "usr/lib/livesnn", symlinks=True)
    (TREE / "usr/bin").mkdir()
    (TREE / "usr/bin/livesnn").symlink_to("../lib/livesnn/livesnn")
    put(HERE / "livesnn.desktop", "usr/share/applications")
    put(HERE / "livesnn.metainfo.xml", "usr/share/metainfo", "io.github.livesnn.livesnn.metainfo.xml")
    put(HERE / "livesnn.xml", "usr/share/mime/packages")
    put(HERE / "livesnn.svg", "usr/share/icons/hicolor/scalable/apps")
    put(ROOT / "packaging/udev/65-event-cameras.rules", "usr/lib/udev/rules.d")
    put(BUNDLE / "_internal/livesnn/_shipped/LICENCES.txt", "usr/share/doc/livesnn", "copyright")
    changes = gzip.compress((ROOT / "CHANGELOG.md").read_bytes(), mtime=0)
    (TREE / "usr/share/doc/livesnn/NEWS.gz").write_bytes(changes)
    for path in TREE.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.name == "livesnn" else 0o644)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    architecture = subprocess.check_output(["dpkg", "--print-architecture"], text=True).strip()
    control = CONTROL.format(
        version=version,
        architecture=architecture,
        size_kib=sum(path.lstat().st_size for path in TREE.rglob("*")) // 1024,
        glibc=re.sub("[^0-9.]", "", os.confstr("CS_GNU_LIBC_VERSION") or ""),
        libraries=QT_LIBRARIES,
    )
    (TREE / "DEBIAN").mkdir()
    (TREE / "DEBIAN/control").write_text(control)
    package = ROOT / "dist" / f"livesnn_{version}_{architecture}.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Zxz", "--build", TREE, package], check=True)


if __name__ == "__main__":
    main()
