"""The folders of models that were taught here: renamed, shown, thrown away. Not here: the dialog, teaching."""

from __future__ import annotations

import re
from pathlib import Path

from PySide6.QtCore import QFile, QUrl
from PySide6.QtGui import QDesktopServices

from livesnn.errors import ModelError
from livesnn.infer.model import model_folder, shipped_models
from livesnn.paths import own_models_dir


def listed(model: str) -> str:
    """Return the whole path of a model that was taught here, however it was named; any other as it is."""
    try:
        folder = model_folder(model).resolve()
    except ModelError:
        return model
    return str(folder) if folder.parent == own_models_dir().resolve() else model


def why_kept(model: str, in_use: str, chosen: str) -> str:
    """Say why the window can't rename a listed model or throw it away; "" where it can."""
    if Path(model).parent != own_models_dir().resolve():
        return "It wasn't taught here"
    if model == in_use:
        return "It is in use: choose another model first"
    return "It is what the next source is played to: choose another model first" if model == chosen else ""


def renamed(folder: Path, name: str) -> Path:
    """Rename a model's folder; return it. Raises ModelError where it can't be called so: it is as before then."""
    if not re.fullmatch(r"\w[\w .-]*", name) or name.endswith((" ", ".")):
        raise ModelError(
            f"{name!r} can't name a model: begin with a letter, then letters, digits, blanks and -._"
        )
    target = folder.with_name(name)
    try:
        if name in shipped_models() or target.exists():  # a shipped one would be found first
            raise ModelError(f"there is a model {name} already: give it another name")
        return folder.rename(target)
    except OSError as error:
        raise ModelError(f"{folder} can't be renamed ({error.strerror}): give it another name") from error


def move_to_trash(folder: str) -> bool:
    """Move a folder to the system's trash; tell whether it could."""
    return bool(QFile.moveToTrash(folder))


def show_folder(folder: Path) -> None:
    """Show a folder in the system's file manager."""
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))
