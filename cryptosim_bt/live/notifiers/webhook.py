"""Notices as requests to an address of yours."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from cryptosim_bt.errors import ConfigError
from cryptosim_bt.plugins.notifier import Notice, Notifier
from cryptosim_bt.plugins.registry import register_notifier

TIMEOUT_S = 10.0


@register_notifier("webhook")
class WebhookNotifier(Notifier):
    """POST each notice as JSON: ``kind``, ``time``, ``text``, and ``data``.

    The text stands under ``content`` too, as Discord wants it. The address is
    ``CRYPTOSIM_WEBHOOK_URL``, or ``url`` where it is no secret.
    """

    secret_names = ("CRYPTOSIM_WEBHOOK_URL",)

    def __init__(self, options: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
        super().__init__(options, secrets)
        self._url = str(secrets.get("CRYPTOSIM_WEBHOOK_URL") or options.get("url") or "")
        if not self._url.startswith(("http://", "https://")):
            raise ConfigError(
                "live.notify.webhook: has no address; give CRYPTOSIM_WEBHOOK_URL in the "
                "environment or .env, or url here, beginning with http:// or https://"
            )

    def send(self, notice: Notice) -> None:
        """Send the request; any answer below 400 will do."""
        post_json(
            self._url,
            {"kind": notice.kind, "time": notice.time, "text": notice.text,
             "content": notice.text, "data": notice.data},
        )  # fmt: skip


def post_json(url: str, content: Mapping[str, Any]) -> None:
    """POST an object; raise for an answer from 400 on, and for none."""
    import urllib.request  # not for those who only list plugins

    request = urllib.request.Request(
        url, json.dumps(content).encode(),
        {"Content-Type": "application/json", "User-Agent": "CryptoSim"},
    )  # fmt: skip
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        answer.read(1_000)
