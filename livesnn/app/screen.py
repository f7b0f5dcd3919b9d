"""Is there a screen? Qt aborts the process where it can't open a window, so this is found out first."""

from __future__ import annotations

import ctypes
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
    "libxkbcommon-x11-0 libxcb-xinerama0 libxcb-shape0"
)
WITHOUT_SCREEN = ("offscreen", "minimal")
_TRIAL = "import sys; from PySide6.QtGui import QGuiApplication as A; a = A([]); sys.exit(a.primaryScreen() is None)"


class Screen(NamedTuple):
    """Qt's version and platform, and the first screen's size, 1920×1080; "" without one."""

    qt: str
    platform: str
    size: str


def open_screen() -> Screen:
    """Open Qt's platform for the rest of the process; call `check_screen` first."""
    import PySide6
    from PySide6.QtGui import QGuiApplication

    application = QGuiApplication([sys.argv[0]])
    screen = application.primaryScreen()
    size = f"{screen.size().width()}×{screen.size().height()}" if screen else ""
    return Screen(PySide6.__version__, application.platformName(), size)


def check_screen() -> None:
    """Raise LivesnnError if a window can't be opened here; only Linux may have no screen."""
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
    """Return whether Qt will use X11; raises LivesnnError if there is nothing it can use."""
    platform = _platform(environment)
    on_x11, on_wayland = (bool(environment.get(name)) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
    if (not platform and not on_x11 and not on_wayland) or (platform == "xcb" and not on_x11):
        raise LivesnnError(_no_screen("neither DISPLAY nor WAYLAND_DISPLAY is set"))
    return platform == "xcb" or (not platform and not on_wayland)


def _platform(environment: Mapping[str, str]) -> str:
    return environment.get(PLATFORM, "").split(";")[0].split(":")[0]


def try_out() -> None:
    """Raise LivesnnError if Qt can't open its platform, tried in another process."""
    platform = _platform(os.environ) or "Wayland"
    try:
        done = subprocess.run([sys.executable, "-c", _TRIAL], capture_output=True, timeout=60, check=False)
    except subprocess.TimeoutExpired as error:
        raise LivesnnError(_no_screen(f"{platform} doesn't answer Qt within 60 s")) from error
    if done.returncode:
        raise LivesnnError(_no_screen(f"Qt can't open {platform} here"))


def xcb_plugin() -> Path:
    import PySide6

    return Path(PySide6.__file__).parent / "Qt/plugins/platforms/libqxcb.so"


def check_xcb(plugin: Path) -> None:
    """Raise LivesnnError if a library that the plugin needs is missing, or no X server answers."""
    try:
        if plugin.is_file():  # elsewhere in a distribution's PySide6, which installs what it needs
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
    return f"no screen ({why}): use `livesnn run FILE`, or set {PLATFORM}=offscreen"


def _missing(error: Exception, packages: str) -> str:
    library = str(error).split(": ")[0]
    return f"the window needs {library}: sudo apt install {packages}"
