"""Files that are played one after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from livesnn.app.player import Player


class Playlist:
    """Opens the next file when one has ended; after the last it begins again where recordings are repeated.

    A file that can't be played is passed over: the window says why. It ends when a person plays something else.

    ``open_file`` plays a file.
    """

    def __init__(self, player: Player, open_file: Callable[[str], None]) -> None:
        self._player = player
        self._open_file = open_file
        self._files: tuple[str, ...] = ()
        self._index = self._failed = 0
        self._before: object = None  # the session that played when the file was asked for

    def start(self, files: Sequence[str]) -> None:
        """Play these files, two or more, from the first on."""
        self._files, self._failed = tuple(files), 0
        self._open(0)

    def poll(self) -> None:
        """Go on with the next file, if the one that plays has ended or can't be played."""
        player = self._player
        if not self._files or player.opening is not None:
            return
        state = None if player.session is None else player.session.control.state
        if player.source != self._files[self._index]:
            if player.session is self._before:
                self._follow(failed=True)
            else:
                self._end()
        elif state in ("ended", "failed"):
            self._follow(failed=state == "failed")

    def _follow(self, *, failed: bool) -> None:
        """Open the next file, unless all are over, or none can be played."""
        self._failed = self._failed + 1 if failed else 0
        following = (self._index + 1) % len(self._files)
        if self._failed >= len(self._files):
            self._end()
        elif following or self._player.choices.loop:
            self._open(following)

    def _open(self, index: int) -> None:
        self._index, self._before = index, self._player.session
        self._player.place_in_list = f"{index + 1} of {len(self._files)}"
        self._open_file(self._files[index])

    def _end(self) -> None:
        self._files = ()
        self._player.place_in_list = ""
        self._player.apply(self._player.choices)  # what plays now is repeated as usual
