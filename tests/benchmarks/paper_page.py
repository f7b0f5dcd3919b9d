"""Renew models/results/tables/README.md: the text between its marks is that of `livesnn tables WHAT --print`.

The sentences around the marks are written by hand. Run `python tests/benchmarks/paper_page.py` after each new result.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from livesnn.paper.experiments import TableOrFigure, shown

FOLDER = Path(__file__).parents[2] / "models" / "results" / "tables"


def renewed(text: str, folder: Path) -> str:
    """Return the page with each part renewed, and draw the figures into ``folder``.

    Raises ValueError if the page lacks the marks of a part.
    """
    for what in get_args(TableOrFigure):
        part = re.compile(rf"(<!-- {what}: begin -->\n).*?(<!-- {what}: end -->)", re.DOTALL)
        if not part.search(text):
            raise ValueError(f"the page has no part for {what}")
        now = shown(what, folder, "cpu", "best").strip()
        text = part.sub(lambda found: f"{found[1]}{now}\n{found[2]}", text)  # noqa: B023 (called at once)
    return text


if __name__ == "__main__":
    page = FOLDER / "README.md"
    page.write_text(renewed(page.read_text(encoding="utf-8"), FOLDER), encoding="utf-8")
