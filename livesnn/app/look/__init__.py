"""Colours, fonts, icons and the style sheet. Not here: any widget."""
