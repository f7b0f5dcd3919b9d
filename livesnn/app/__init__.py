"""The window: PySide6 and pyqtgraph, and nowhere else. Not here: what happens to events (events, infer)."""
