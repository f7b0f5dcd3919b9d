"""What would make Qt abort the process, found out before Qt is asked: no screen, or missing libraries."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from livesnn.errors import LivesnnError

PLATFORM = "QT_QPA_PLATFORM"
_QT_PACKAGES = "libegl1 libgl1 libglib2.0-0 libdbus-1-3 libfontconfig1 libxkbcommon0"
_XCB_PACKAGES = (
    "libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxcb-image0 libxcb-render-util0 libxcb-xkb1 "
    "libxkbcommon-x11-0 libxcb-xinerama0"
)


def check_screen() -> None:
    """Raise LivesnnError if a window can't be opened here; Linux only, elsewhere there is always a screen."""
    try:
        import PySide6.QtWidgets  # noqa: F401
    except ImportError as error:
        raise LivesnnError(_missing(error, f"{_QT_PACKAGES} {_XCB_PACKAGES}")) from error
    if sys.platform.startswith("linux") and uses_xcb(os.environ):
        check_xcb(xcb_plugin())


def uses_xcb(environment: Mapping[str, str]) -> bool:
    """Tell whether Qt will open its windows by X11; raises LivesnnError if it can't open any."""
    wanted = environment.get(PLATFORM, "")
    platform = wanted.split(";")[0].split(":")[0]
    on_x11, on_wayland = (bool(environment.get(name)) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
    if (not platform and not on_x11 and not on_wayland) or (platform == "xcb" and not on_x11):
        raise LivesnnError(_no_screen("neither DISPLAY nor WAYLAND_DISPLAY is set"))
    return platform == "xcb" or (not platform and not on_wayland)


def xcb_plugin() -> Path:
    """Return where PySide6 keeps what connects Qt with X11."""
    package = importlib.util.find_spec("PySide6")
    if package is None or not package.submodule_search_locations:
        raise LivesnnError("PySide6 is not installed: pip install livesnn")
    return Path(package.submodule_search_locations[0]) / "Qt/plugins/platforms/libqxcb.so"


def check_xcb(plugin: Path) -> None:
    """Raise LivesnnError if a library that the plugin needs is missing, or no X server answers."""
    try:
        if plugin.is_file():  # a distribution's PySide6 keeps it elsewhere, and installs what it needs
            ctypes.CDLL(str(plugin))
        xcb = ctypes.CDLL("libxcb.so.1")
    except OSError as error:
        raise LivesnnError(_missing(error, _XCB_PACKAGES)) from error
    xcb.xcb_connect.restype = ctypes.c_void_p
    connection = ctypes.c_void_p(xcb.xcb_connect(None, None))
    failed = xcb.xcb_connection_has_error(connection)
    xcb.xcb_disconnect(connection)
    if failed:
        raise LivesnnError(_no_screen(f"nothing answers at DISPLAY={os.environ.get('DISPLAY', '')}"))


def _no_screen(why: str) -> str:
    return f"no screen: {why}: use `livesnn run FILE`, or set {PLATFORM}=offscreen"


def _missing(error: Exception, packages: str) -> str:
    library = str(error).split(": ")[0]
    return f"the window needs {library}: sudo apt install {packages}"
