"""The colours of the window, dark and light, by what they are for. Not here: which is in use (style.py)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Theme:
    """Colours as #rrggbb. Words have a contrast of 4.5 or more on each ground they stand on (WCAG 2.1, AA).

    Attributes
    ----------
    background, surface, raised
        Grounds: of the window, of a card, of a button or an empty bar.
    hover, pressed
        A button's ground under the pointer, and held down.
    line
        Edges and rules.
    text, soft, faint
        Words: what is read, what explains it, what may be overlooked.
    accent, accent_hover, accent_dark, on_accent
        What is chosen or played: as words or a bar, under the pointer, as a ground of `text`; words on `accent`.
    neutral
        Bars that aren't chosen.
    warning, danger
        Words.
    warning_surface, warning_line, danger_surface, danger_line
        The banner's ground and edge.
    event_background
        Around the picture. The picture's own ground is its palette's (palettes.py).
    classes
        One a class of the model, in its order; told apart in every colour blindness.
    """

    background: str
    surface: str
    raised: str
    hover: str
    pressed: str
    line: str
    text: str
    soft: str
    faint: str
    accent: str
    accent_hover: str
    accent_dark: str
    on_accent: str
    neutral: str
    warning: str
    warning_surface: str
    warning_line: str
    danger: str
    danger_surface: str
    danger_line: str
    event_background: str
    classes: tuple[str, ...]


# The class colours were searched for the largest least distance (OKLab) over both themes, in normal sight and in
# each colour blindness (Machado et al. 2009); a light one is its dark one with 0.22 less lightness.
DARK = Theme(
    background="#12161f",
    surface="#1a202c",
    raised="#252d3c",
    hover="#303a4d",
    pressed="#1f2633",
    line="#2f394b",
    text="#f1f4f9",
    soft="#a9b4c6",
    faint="#8c98ad",
    accent="#4fd8bd",
    accent_hover="#74e6d0",
    accent_dark="#1f5b54",
    on_accent="#0c1a18",
    neutral="#5c6b84",
    warning="#ffb454",
    warning_surface="#3b3120",
    warning_line="#6f5a2e",
    danger="#ff8f9a",
    danger_surface="#43222a",
    danger_line="#7c3843",
    event_background="#0b0e14",
    classes=(
        "#7ae9fc",
        "#a15aac",
        "#9abe64",
        "#6766e6",
        "#fdc1bd",
        "#86b8ee",
        "#d99cb1",
        "#7ae964",
        "#a688c2",
        "#ad8c56",
        "#6f92ff",
        "#b25c68",
    ),
)
LIGHT = Theme(
    background="#eef1f6",
    surface="#ffffff",
    raised="#e5e9f0",
    hover="#d9dfe9",
    pressed="#ccd4e0",
    line="#cfd6e1",
    text="#151a23",
    soft="#465162",
    faint="#5a6577",
    accent="#08705f",
    accent_hover="#0a7f6c",
    accent_dark="#bfe6dd",
    on_accent="#ffffff",
    neutral="#9aa6b8",
    warning="#854d00",
    warning_surface="#fff3dc",
    warning_line="#e8c88a",
    danger="#b01c2e",
    danger_surface="#fde8ea",
    danger_line="#eeb0b7",
    event_background="#e3e8f0",
    classes=(
        "#249fb1",
        "#5d1768",
        "#5a7a1c",
        "#321c9c",
        "#b47d79",
        "#4474a6",
        "#925a6e",
        "#2da002",
        "#64487e",
        "#6a4c12",
        "#334eb4",
        "#6b1c2d",
    ),
)
