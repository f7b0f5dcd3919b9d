"""Event cameras on Linux's USB, and the udev rules that let people use them. Not here: opening one (events/)."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Collection, Sequence
from fnmatch import fnmatch
from pathlib import Path

from livesnn.cli.findings import Check, Findings
from livesnn.paths import udev_dir

CAMERAS = {
    "iniVation": ("152a", tuple(f"84{second}{last:x}" for second in "01" for last in range(16))),
    "Prophesee": ("04b4", ("00f4", "00f5")),
    "CenturyArks": ("31f7", ("0003", "0004")),
    "IDS": ("1409", ("8e00",)),
}
"""Vendor and products by USB. Some vendors' numbers are others' too: sound cards, programmable chips."""

RULE_FOLDERS = tuple(
    Path(root, "udev/rules.d") for root in ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")
)
_USB, _USB_NODES = Path("/sys/bus/usb/devices"), Path("/dev/bus/usb")
_JOIN = "without a seat, as over ssh, be in the group of the rule: sudo usermod -aG plugdev $USER, and log in again"
_RELOAD = "sudo udevadm control --reload && sudo udevadm trigger"


def usb() -> Findings:
    """On Linux, look for the rule that lets you use a camera, and for cameras that can't be opened."""
    if not sys.platform.startswith("linux"):
        return Findings()
    if not _USB.is_dir():
        return Findings((Check("udev rules", "ok", "no USB here, so that no camera needs a udev rule"),))
    rules = udev_rules(RULE_FOLDERS)
    return Findings((_told(rules), *usb_permissions(_USB, _USB_NODES, rules)))


def udev_rules(folders: Sequence[Path]) -> dict[str, Path]:
    """Return the first file of the folders with a rule for the cameras of each maker that there is one for."""
    found: dict[str, Path] = {}
    for file in (file for folder in folders if folder.is_dir() for file in sorted(folder.glob("*.rules"))):
        for line in _text(file).splitlines():
            for maker in CAMERAS:
                if maker not in found and _is_for(line, maker):
                    found[maker] = file
    return found


def _is_for(rule: str, maker: str) -> bool:
    """Return whether a line of rules, in small letters, names one of a maker's cameras."""
    if rule.lstrip().startswith("#"):
        return False
    vendors, products = (
        [text for each in re.findall(rf'{key}\}}\s*==\s*"([^"]*)"', rule) for text in each.split("|")]
        for key in ("idvendor", "idproduct")
    )
    vendor, cameras = CAMERAS[maker]
    return vendor in vendors and any(fnmatch(camera, each) for each in products or "*" for camera in cameras)


def _told(rules: dict[str, Path]) -> Check:
    if not rules:
        what = "no udev rule lets you use an event camera without being root"
        return Check("udev rules", "warning", what, install_rules())
    there = ", ".join(f"{maker}'s ({file})" for maker, file in rules.items())
    missing = [f"{maker}'s" for maker in CAMERAS if maker not in rules]
    none = f"; there is none for {', '.join(missing)}: if yours is one, {install_rules()}" if missing else ""
    return Check("udev rules", "ok", f"a rule is there for cameras of {there}{none}")


def install_rules() -> str:
    """Return the command that installs our rules."""
    rules = udev_dir() / "65-event-cameras.rules"
    return f"sudo cp '{rules}' /etc/udev/rules.d/ && {_RELOAD}"


def usb_permissions(devices: Path, nodes: Path, rules: Collection[str]) -> list[Check]:
    """Return a check for each event camera among the USB devices: whether it may be opened, and else how.

    ``rules``: the makers that there is a rule for.
    """
    checks = []
    for device in sorted(devices.iterdir()):
        vendor, product, bus, number = (
            _text(device / name) for name in ("idVendor", "idProduct", "busnum", "devnum")
        )
        makers = [
            name for name, (theirs, cameras) in CAMERAS.items() if vendor == theirs and product in cameras
        ]
        if not makers or not (bus.isdigit() and number.isdigit()):
            continue
        node = nodes / f"{int(bus):03}" / f"{int(number):03}"
        what = f"the {makers[0]} camera {vendor}:{product} at {node}"
        if not os.access(node, os.R_OK | os.W_OK):
            do = f"{_JOIN if makers[0] in rules else install_rules()}; then plug it in again"
            checks.append(Check("usb permission", "problem", f"{what} may not be opened by you", do))
        else:
            checks.append(Check("usb permission", "ok", f"{what} may be opened by you"))
    return checks


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace").strip().lower()
    except OSError:  # not a device, just unplugged, or not for everybody
        return ""
