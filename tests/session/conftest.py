"""What the session's tests share: starting a session, and a guard against threads left behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from livesnn.events.filters import Orientation
from livesnn.session.camera_settings import Mounting
from livesnn.session.control import Choices
from livesnn.session.session import Session, SourceLike
from tests.synthetic import livesnn_threads


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    assert livesnn_threads() == []


@pytest.fixture
def play(model_folder: Path) -> Iterator[Callable[..., Session]]:
    """Return a function that starts a session, which is stopped after the test."""
    sessions: list[Session] = []

    def start(
        source: SourceLike,
        model: str | Path = model_folder,
        *,
        kind: type[Session] = Session,
        orientation: Orientation | None = None,
        **choices: object,
    ) -> Session:
        chosen = Choices(**choices)  # type: ignore[arg-type]
        session = kind(source, choices=chosen, mounting=Mounting(orientation))
        sessions.append(session)
        session.start()
        session.go_on(model)
        return session

    yield start
    for session in sessions:
        assert session.stop()
