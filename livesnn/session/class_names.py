"""Classes as people see them: their names in words, and a colour for each."""

from __future__ import annotations

# They maximise the smallest distance between two of them (OKLab) on both grounds, in normal sight and in each colour
# blindness (Machado et al. 2009). A colour on light is the one on dark with 0.22 less lightness.
CLASSES_ON_DARK = (
    "#7ae9fc", "#a15aac", "#9abe64", "#6766e6", "#fdc1bd", "#86b8ee",
    "#d99cb1", "#7ae964", "#a688c2", "#ad8c56", "#6f92ff", "#b25c68",
)  # fmt: skip
CLASSES_ON_LIGHT = (
    "#249fb1", "#5d1768", "#5a7a1c", "#321c9c", "#b47d79", "#4474a6",
    "#925a6e", "#2da002", "#64487e", "#6a4c12", "#334eb4", "#6b1c2d",
)  # fmt: skip


def readable(label: str) -> str:
    """Return a class label as a person reads it: hand_clapping becomes "Hand clapping"."""
    words = label.replace("_", " ")
    return words[:1].upper() + words[1:]
