"""Renews models/results/tables/README.md: what stands between its marks is what `livesnn tables WHAT --print` says.

The sentences around them are written by hand.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from livesnn.bench.tables import shown

from livesnn.bench import TableOrFigure

FOLDER = Path(__file__).parents[1] / "models" / "results" / "tables"


def renewed(text: str, folder: Path) -> str:
    """Return the page with each part as it is now; figures are drawn into ``folder``.

    Raises ValueError where a part has no mark.
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
