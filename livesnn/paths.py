"""Where what is shipped lies, in a checkout or a wheel, and what is kept in the user's cache, machine code too."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import platformdirs

_PACKAGE = Path(__file__).resolve().parent


def models_dir() -> Path:
    """Return the folder with one folder a model (it may be missing in a damaged installation)."""
    return _shipped("models")


def own_models_dir() -> Path:
    """Return the folder of models that were taught here: LIVESNN_MODELS of the environment, or the user's data."""
    return Path(os.environ.get("LIVESNN_MODELS") or platformdirs.user_data_path("livesnn") / "models")


def recordings_dir() -> Path:
    """Return the folder of the clips that come with livesnn."""
    return _shipped("recordings")


def udev_dir() -> Path:
    """Return the folder of the rules that let people use cameras on Linux."""
    return _shipped("packaging/udev")


def notices_file() -> Path:
    """Return the licences of all that a bundle holds; it is missing in other installations."""
    return _PACKAGE / "_shipped" / "LICENCES.txt"


def cache_dir() -> Path:
    """Return where data sets keep what they have made: LIVESNN_CACHE of the environment, or the user's cache."""
    return Path(os.environ.get("LIVESNN_CACHE") or platformdirs.user_cache_path("livesnn"))


def settings_file() -> Path:
    """Return what keeps the window's settings: LIVESNN_SETTINGS of the environment, or a file of the user's."""
    own = platformdirs.user_config_path("livesnn", appauthor=False) / "settings.json"
    return Path(os.environ.get("LIVESNN_SETTINGS") or own)


def log_file() -> Path:
    """Return the file in which the window and long commands keep what they say, and where they crashed."""
    return cache_dir() / "logs" / "livesnn.log"


def keep_compiled() -> None:
    """Let a frozen app keep machine code in the user's cache: its own folder may be read-only, or gone at its end.

    Call it before numba is imported, which caches only code of modules that are files. NUMBA_CACHE_DIR wins.
    """
    if getattr(sys, "frozen", False):
        os.environ.setdefault("NUMBA_CACHE_DIR", str(cache_dir() / "compiled"))


def _shipped(name: str) -> Path:
    """Return the wheel's copy (pyproject, force-include) or the checkout's top level folder."""
    in_wheel = _PACKAGE / "_shipped" / name
    return in_wheel if in_wheel.is_dir() else _PACKAGE.parent / name
