"""On a busy machine the spike-driven engine does without its second thread for a while."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from livesnn.infer.spike_engine import LONGEST_PAUSE_S, Pause


def stepped(
    pause: Pause, busy: Callable[[float], bool], from_s: float, to_s: float
) -> tuple[Pause, list[float]]:
    """Return the pause at the end of a time, and how long each step took.

    On a machine that is ``busy`` at a time, the caller waits 10 ms for a helper in each eighth step with them.
    """
    now_s, took_s = from_s, list[float]()
    while now_s < to_s:
        together = now_s >= pause.until_s
        waited_s = 0.01 if together and busy(now_s) and len(took_s) % 8 == 0 else 0.00005
        took_s.append((0.0003 if together else 0.0006) + waited_s)
        if together:
            pause = pause.after_step(now_s, now_s + took_s[-1], waited_s)
        now_s += took_s[-1]
    return pause, took_s


def test_on_a_busy_machine_few_steps_wait_for_a_helper() -> None:
    pause, _ = stepped(Pause(), lambda now_s: True, 0.0, 5.0)
    _, took_s = stepped(pause, lambda now_s: True, 5.0, 65.0)
    assert np.percentile(took_s, 99.9) < 5 * np.median(took_s)


def test_on_an_idle_machine_helpers_are_always_called() -> None:
    pause, took_s = stepped(Pause(), lambda now_s: False, 0.0, 5.0)
    assert pause == Pause()
    assert max(took_s) < 0.0005


def test_helpers_are_called_again_soon_after_a_machine_was_busy() -> None:
    pause, _ = stepped(Pause(), lambda now_s: True, 0.0, 30.0)
    _, took_s = stepped(pause, lambda now_s: False, 30.0 + LONGEST_PAUSE_S, 40.0)
    assert max(took_s) < 0.0005


def test_one_late_helper_makes_a_short_pause() -> None:
    pause, took_s = stepped(Pause(), lambda now_s: 1.0 <= now_s < 1.005, 0.0, 5.0)
    assert sum(took > 0.0005 for took in took_s) < 100
    assert pause.seconds < 0.1


def test_waiting_is_usual_in_a_long_step() -> None:
    assert Pause().after_step(0.0, 0.02, 0.004) == Pause()
    assert Pause().after_step(0.0, 0.02, 0.01).until_s > 0.02
