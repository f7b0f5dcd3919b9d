"""Files that are played one after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from livesnn.app.player import Player


class Playlist:
    """Opens the next file when one has ended; after the last it begins again where recordings are repeated.

    A file that can't be played is passed over: the window says why. It ends when a person opens something else.

    ``open_file`` plays a file.
    """

    def __init__(self, player: Player, open_file: Callable[[str], None]) -> None:
        self._player = player
        self._open_file = open_file
        self._files: tuple[str, ...] = ()
        self._index = self._failed = 0

    def start(self, files: Sequence[str]) -> None:
        """Play these files from the first on; fewer than two are no playlist."""
        self._files = tuple(files) if len(files) > 1 else ()
        self._player.place_in_list = ""
        self._failed = 0
        if self._files:
            self._open(0)

    def poll(self) -> None:
        """Go on with the next file, if the one that plays has ended or can't be played."""
        if not self._files or self._player.opening == self._files[self._index]:
            return
        session = self._player.session
        state = "failed" if session is None else session.control.state
        refused = self._player.source != self._files[self._index]
        if refused or state == "failed":
            self._failed += 1
        elif state == "ended":
            self._failed = 0
        else:
            return
        following = self._index + 1
        if following == len(self._files):
            if not self._player.choices.loop:
                return
            following = 0
        if self._failed < len(self._files):
            self._open(following)

    def _open(self, index: int) -> None:
        self._index = index
        self._player.place_in_list = f"{index + 1} of {len(self._files)}"
        self._open_file(self._files[index])
