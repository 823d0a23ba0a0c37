"""The base of notifier plugins, and what they are told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

NoticeKind = Literal["fill", "set", "refusal", "alarm", "summary"]
KINDS: tuple[NoticeKind, ...] = get_args(NoticeKind)


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing that happened in a run.

    ``time`` is the venue's, in UTC; ``text`` one line in the report's language; ``data`` the same
    for a machine.
    """

    kind: NoticeKind
    time: str
    text: str
    data: Mapping[str, Any] = field(default_factory=dict)


class Notifier:
    """Base of notifier plugins: tells somebody what happens in a run on paper or live.

    Has a thread of its own: `send` may take its time, and may raise anything; it is tried again a
    few times, and trading never waits for it.

    Parameters
    ----------
    options
        The notifier's block under ``live.notify``.
    secrets
        Those of `secret_names` that the environment or the ``.env`` file has.
    """

    secret_names: tuple[str, ...] = ()

    def __init__(self, options: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
        self.options = options
        self.secrets = secrets

    def send(self, notice: Notice) -> None:
        """Tell of one thing; raise if it did not arrive."""
        raise NotImplementedError
