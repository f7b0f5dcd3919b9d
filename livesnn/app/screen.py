"""What would make Qt abort the process, found out before Qt is asked: no screen, or missing libraries."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from livesnn.errors import LivesnnError

PLATFORM = "QT_QPA_PLATFORM"
_QT_PACKAGES = "libegl1 libgl1 libglib2.0-0 libdbus-1-3 libfontconfig1 libxkbcommon0"
_XCB_PACKAGES = (
    "libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxcb-image0 libxcb-render-util0 libxcb-xkb1 "
    "libxkbcommon-x11-0 libxcb-xinerama0"
)


WITHOUT_SCREEN = ("offscreen", "minimal")
_TRIAL = "import sys; from PySide6.QtGui import QGuiApplication as A; a = A([]); sys.exit(a.primaryScreen() is None)"


class Opened(NamedTuple):
    """What Qt opened: its version and platform, and the first screen's size, 1920×1080; "" without one."""

    qt: str
    platform: str
    size: str


def opened_screen() -> Opened:
    """Open Qt's platform, for the rest of the process; it aborts where `check_screen` would have raised."""
    import PySide6
    from PySide6.QtGui import QGuiApplication

    application = QGuiApplication([sys.argv[0]])
    screen = application.primaryScreen()
    size = f"{screen.size().width()}×{screen.size().height()}" if screen else ""
    return Opened(PySide6.__version__, application.platformName(), size)


def check_screen() -> None:
    """Raise LivesnnError if a window can't be opened here; Linux only, elsewhere there is always a screen."""
    try:
        import PySide6.QtWidgets  # noqa: F401
    except ImportError as error:
        raise LivesnnError(_missing(error, f"{_QT_PACKAGES} {_XCB_PACKAGES}")) from error
    if not sys.platform.startswith("linux"):
        return
    if uses_xcb(os.environ):
        check_xcb(xcb_plugin())
    elif _platform(os.environ) not in WITHOUT_SCREEN and not getattr(sys, "frozen", False):
        try_out()


def uses_xcb(environment: Mapping[str, str]) -> bool:
    """Tell whether Qt will open its windows by X11; raises LivesnnError if it can't open any."""
    platform = _platform(environment)
    on_x11, on_wayland = (bool(environment.get(name)) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
    if (not platform and not on_x11 and not on_wayland) or (platform == "xcb" and not on_x11):
        raise LivesnnError(_no_screen("neither DISPLAY nor WAYLAND_DISPLAY is set"))
    return platform == "xcb" or (not platform and not on_wayland)


def _platform(environment: Mapping[str, str]) -> str:
    return environment.get(PLATFORM, "").split(";")[0].split(":")[0]


def try_out() -> None:
    """Raise LivesnnError if Qt can't open its platform: it would abort the process, so another one tries."""
    platform = _platform(os.environ) or "Wayland"
    try:
        done = subprocess.run([sys.executable, "-c", _TRIAL], capture_output=True, timeout=60, check=False)
    except subprocess.TimeoutExpired as error:
        raise LivesnnError(_no_screen(f"{platform} doesn't answer Qt within 60 s")) from error
    if done.returncode:
        raise LivesnnError(_no_screen(f"Qt can't open {platform} here"))


def xcb_plugin() -> Path:
    """Return where PySide6 keeps what connects Qt with X11."""
    package = importlib.util.find_spec("PySide6")
    if package is None or not package.submodule_search_locations:
        raise LivesnnError("PySide6 is not installed: pip install PySide6-Essentials")
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
