"""Where the pages of the documentation are, which the "?" beside panels and settings open."""

from __future__ import annotations

from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices

PROJECT = "https://github.com/livesnn/livesnn"


def docs_address(page: str) -> str:
    """Return the address of a page, such as "window.md#numbers"."""
    return f"{PROJECT}/blob/main/docs/{page}"


def open_docs(page: str) -> None:
    """Show a page of the documentation in the system's browser."""
    QDesktopServices.openUrl(QUrl(docs_address(page)))
