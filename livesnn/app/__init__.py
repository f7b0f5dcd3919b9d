"""The window, in PySide6, which no other package imports."""
