"""The dialog "About": what livesnn is, its version, and where to read more."""

from __future__ import annotations

from PySide6.QtWidgets import QMessageBox, QWidget

from livesnn import __version__
from livesnn.app.widgets.basics import PROJECT, docs_address
from livesnn.paths import notices_file

_ABOUT = "Real-time event-camera recognition with a stateful spiking network (STS-ResNet)."
_LICENCE = "Licence: Apache-2.0. It uses Qt under LGPL-3.0. livesnn sends data only where you tell it to."


def about(parent: QWidget) -> QMessageBox:
    notices = notices_file()
    addresses = {
        "Documentation": docs_address("index.md"),
        "Source code": PROJECT,
        "Report a problem": f"{PROJECT}/issues",
        "Licences": notices.as_uri() if notices.exists() else docs_address("start.md#licences"),
    }
    links = " &nbsp;·&nbsp; ".join(f'<a href="{address}">{name}</a>' for name, address in addresses.items())
    words = f"<h3>livesnn {__version__}</h3><p>{_ABOUT}</p><p>{_LICENCE}</p><p>{links}</p>"
    close = QMessageBox.StandardButton.Close
    return QMessageBox(QMessageBox.Icon.NoIcon, "About livesnn", words, close, parent)
