"""Notices to a Telegram chat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cryptosim_bt.errors import ConfigError
from cryptosim_bt.live.notifiers.webhook import post_json
from cryptosim_bt.plugins.notifier import Notice, Notifier
from cryptosim_bt.plugins.registry import register_notifier


@register_notifier("telegram")
class TelegramNotifier(Notifier):
    """Send each notice to a chat, by a bot of yours.

    ``chat_id`` is the chat; ``CRYPTOSIM_TELEGRAM_TOKEN`` the bot's token; ``url`` another server
    than Telegram's.
    """

    secret_names = ("CRYPTOSIM_TELEGRAM_TOKEN",)

    def __init__(self, options: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
        super().__init__(options, secrets)
        if not secrets.get("CRYPTOSIM_TELEGRAM_TOKEN") or not options.get("chat_id"):
            raise ConfigError(
                "live.notify.telegram: needs chat_id here, and CRYPTOSIM_TELEGRAM_TOKEN in the "
                "environment or .env"
            )

    def send(self, notice: Notice) -> None:
        """Send the message."""
        server = self.options.get("url", "https://api.telegram.org")
        token = self.secrets["CRYPTOSIM_TELEGRAM_TOKEN"]
        post_json(
            f"{server}/bot{token}/sendMessage",
            {"chat_id": self.options["chat_id"], "text": notice.text},
        )
