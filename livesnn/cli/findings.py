"""What `livesnn doctor` has found out, as values. Not here: finding it out (probes.py, usb.py)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from livesnn.errors import LivesnnError

State = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: ``what`` is so, and what to ``do`` about it, if anything."""

    name: str
    state: State
    what: str
    do: str = ""


@dataclass(frozen=True)
class Findings:
    """What has been found: model → file → sha256, and name → version, beside the checks."""

    checks: tuple[Check, ...] = ()
    models: dict[str, dict[str, str]] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def __add__(self, other: Findings) -> Findings:
        return Findings(
            self.checks + other.checks, self.models | other.models, self.versions | other.versions
        )

    @property
    def ok(self) -> bool:
        """Whether nothing is a problem."""
        return all(check.state != "problem" for check in self.checks)


def failed(name: str, state: State, error: LivesnnError) -> Check:
    """Return a check of an error, whose message ends with what to do."""
    what, _, do = str(error).rpartition(": ")
    return Check(name, state, what, do)
