"""Notices in the log."""

from __future__ import annotations

import logging

from cryptosim_bt.plugins.notifier import Notice, Notifier
from cryptosim_bt.plugins.registry import register_notifier

logger = logging.getLogger(__name__)


@register_notifier("log")
class LogNotifier(Notifier):
    """Write a line for each notice."""

    def send(self, notice: Notice) -> None:
        """Write the line."""
        logger.info("%s: %s", notice.kind, notice.text)
