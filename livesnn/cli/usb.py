"""Event cameras on Linux's USB, and the udev rules that let people use them. Not here: opening one (events/)."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

from livesnn.cli.findings import Check, Findings
from livesnn.paths import udev_dir

CAMERAS = {
    "iniVation": ("152a", "84[01]?"),
    "Prophesee": ("04b4", "00f[45]"),
    "CenturyArks": ("31f7", "000[34]"),
    "IDS": ("1409", "8e00"),
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
    let_in = rules.do or _JOIN
    return Findings((rules, *usb_permissions(_USB, _USB_NODES, let_in)))


def udev_rules(folders: Sequence[Path]) -> Check:
    """Say whether a rule for iniVation's cameras is in one of the folders."""
    rule = re.compile(
        r'^[^#\n]*idVendor\}=="152a"(?![^\n]*idProduct\}=="(?!84))', re.MULTILINE | re.IGNORECASE
    )
    for file in (file for folder in folders if folder.is_dir() for file in sorted(folder.glob("*.rules"))):
        if rule.search(_text(file)):
            return Check("udev rules", "ok", f"a rule is there for iniVation's cameras ({file})")
    what = "no udev rule lets you use an iniVation camera without being root"
    return Check("udev rules", "warning", what, install_rules())


def install_rules() -> str:
    """Return the command that installs our rules."""
    rules = udev_dir() / "65-event-cameras.rules"
    return f"sudo cp '{rules}' /etc/udev/rules.d/ && {_RELOAD}"


def usb_permissions(devices: Path, nodes: Path, let_in: str) -> list[Check]:
    """Return a check for each event camera among the USB devices: whether it may be opened, and else how."""
    checks = []
    for device in sorted(devices.iterdir()):
        vendor, product, bus, number = (
            _text(device / name) for name in ("idVendor", "idProduct", "busnum", "devnum")
        )
        makers = [name for name, usb_id in CAMERAS.items() if _matches(usb_id, vendor, product)]
        if not makers or not (bus.isdigit() and number.isdigit()):
            continue
        node = nodes / f"{int(bus):03}" / f"{int(number):03}"
        what = f"the {makers[0]} camera {vendor}:{product} at {node}"
        if not os.access(node, os.R_OK | os.W_OK):
            do = f"{let_in}; then plug it in again"
            checks.append(Check("usb permission", "problem", f"{what} may not be opened by you", do))
        else:
            checks.append(Check("usb permission", "ok", f"{what} may be opened by you"))
    return checks


def _matches(usb_id: tuple[str, str], vendor: str, product: str) -> bool:
    return vendor == usb_id[0] and fnmatch(product, usb_id[1])


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace").strip().lower()
    except OSError:  # not a device, just unplugged, or not for everybody
        return ""
