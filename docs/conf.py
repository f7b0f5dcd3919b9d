"""How Sphinx builds the site of this folder: make docs."""

from __future__ import annotations

import os
import re
from pathlib import Path

from sphinx.application import Sphinx

from livesnn import __version__

HERE = Path(__file__).parent
REPOSITORY = "https://github.com/livesnn/livesnn/blob/main"
ARRAY = re.compile(r"~?numpy\.ndarray\[tuple\[~?typing\.Any, \.\.\.\], ~?numpy\.dtype\[~?numpy\.\w+\]\]")
LINK_UPWARDS = re.compile(r"\]\((\.\./[^)#\s]+)(#[^)\s]*)?\)")

project = "livesnn"
author = "the livesnn authors"
project_copyright = "the livesnn authors, Apache-2.0"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "numpydoc", "sphinx.ext.mathjax"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["dollarmath"]
myst_fence_as_directive = ["math"]
myst_heading_anchors = 4

autodoc_class_signature = "separated"
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True

numpydoc_show_class_members = False  # autodoc lists them

html_theme = "furo"
html_title = f"livesnn {version}"


def link_to_the_repository(app: Sphinx, docname: str, source: list[str]) -> None:
    """Make links to files outside this folder, which the site doesn't hold, links to the repository."""
    folder = (HERE / docname).parent

    def replaced(link: re.Match[str]) -> str:
        path = Path(os.path.normpath(folder / link[1]))
        if path.is_relative_to(HERE):
            return link[0]
        return f"]({REPOSITORY}/{path.relative_to(HERE.parent).as_posix()}{link[2] or ''})"

    source[0] = LINK_UPWARDS.sub(replaced, source[0])


def shorten_arrays(
    app: Sphinx,
    what: str,
    name: str,
    obj: object,
    options: object,
    signature: str | None,
    returns: str | None,
) -> tuple[str | None, str | None]:
    """Write ndarray for an array's type: the docstrings name shape and dtype."""
    return (
        ARRAY.sub("~numpy.ndarray", signature) if signature else signature,
        ARRAY.sub("~numpy.ndarray", returns) if returns else returns,
    )


def setup(app: Sphinx) -> None:
    """Register what is above."""
    app.connect("source-read", link_to_the_repository)
    app.connect("autodoc-process-signature", shorten_arrays)
