"""Simulated events: people who gesture and handwritten digits, seen by a simulated DVS sensor."""

from __future__ import annotations

GESTURES_URI, DIGITS_URI = "simulate:gestures", "simulate:digits"
"""The live sources that the program offers by name; `sources.open_simulation` opens them."""
