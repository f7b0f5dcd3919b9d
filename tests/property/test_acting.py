"""Laws of acting on decisions: whatever the stream, a rule fires only where it says so."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from livesnn.outputs.action import STALE_US, Action, Onset, Rule, follow
from tests.decided import result

RULES = st.builds(
    Rule,
    action=st.just(Action("record")),
    label=st.sampled_from(["", "wave"]),
    held_ms=st.integers(0, 500),
    every_s=st.floats(0, 3),
)
STEPS = st.lists(
    st.tuples(st.integers(1, 1500), st.sampled_from([None, "wave", "clap", "other"]), st.booleans()),
    max_size=60,
)


@given(RULES, STEPS)
def test_a_rule_fires_only_for_its_class_held_long_enough_once_and_not_too_often(
    rule: Rule, steps: list[tuple[int, str | None, bool]]
) -> None:
    onset, t_ms, fired_ms = Onset(), 0, list[int]()
    stream = []
    for after_ms, decision, reset in steps:
        t_ms += after_ms
        stream.append((t_ms, decision, reset))
        onset, fires = follow(rule, onset, result(t_ms, decision, reset=reset))
        if not fires:
            continue
        assert decision == rule.label or (rule.label == "" and decision in ("wave", "clap"))
        held = since(stream)
        assert t_ms - held[0] >= rule.held_ms
        assert not any(each in held for each in fired_ms)
        assert not fired_ms or t_ms - fired_ms[-1] >= 1000 * rule.every_s
        fired_ms.append(t_ms)


def since(stream: list[tuple[int, str | None, bool]]) -> list[int]:
    """Return the times of the last results without a break that all have the last decision."""
    times = [stream[-1][0]]
    for (t_ms, decision, _), (next_ms, _, reset) in zip(stream[-2::-1], stream[:0:-1], strict=True):
        if reset or decision != stream[-1][1] or 1000 * (next_ms - t_ms) > STALE_US:
            break
        times.insert(0, t_ms)
    return times
