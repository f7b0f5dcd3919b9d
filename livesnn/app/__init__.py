"""The window: PySide6, and nowhere else. Not here: what happens to events (events, infer)."""
