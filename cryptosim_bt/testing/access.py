"""Who may ask the exchange for tests, and how often: keys, signatures, clocks, rate limits."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptosim_bt.testing.market import Clock
from cryptosim_bt.testing.orders import Refused

_TOLERANCE_MS = 30_000
_WINDOW_S = 2.0
# Requests in two seconds; "*" counts by instrument, each order of a batch.
LIMITS: dict[str, int] = {
    "trade/order": 60, "trade/batch-orders": 60, "trade/cancel-order": 60,
    "trade/cancel-batch-orders": 60, "trade/amend-order": 60, "trade/amend-batch-orders": 60,
    "trade/orders-pending": 60, "trade/orders-history": 40, "trade/orders-history-archive": 20,
    "trade/fills": 60, "trade/fills-history": 10, "account/balance": 10, "account/positions": 10,
    "account/config": 5, "account/set-leverage": 20, "account/set-position-mode": 5,
    "account/bills": 5, "account/bills-archive": 5, "market/candles": 40,
    "market/history-candles": 20, "public/instruments": 20, "public/time": 10,
    "public/funding-rate-history": 10, "public/position-tiers": 10,
}  # fmt: skip
_OTHER_LIMIT = 20
_ORDERS_OF_ACCOUNT = 1000
_BY_INSTRUMENT = ("order", "batch-orders", "cancel-order", "cancel-batch-orders", "amend-order",
                  "amend-batch-orders")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Keys:
    """What a client signs with, and whether the account is a demo one."""

    api_key: str = "key"
    secret: str = "secret"
    passphrase: str = "passphrase"
    demo: bool = True


class Access:
    """Checks of what comes with a request or a login.

    Parameters
    ----------
    keys
        Of the account.
    clock
        The exchange's. A time stamp may be of it or of this computer's clock, moved by its skew;
        without a skew it is looked at only where the clock runs as the wall's does.
    limited
        Whether rates are limited, by the wall clock.
    """

    def __init__(self, keys: Keys, clock: Clock, *, limited: bool) -> None:
        self.keys = keys
        self._clock = clock
        self._limited = limited
        self._seen: defaultdict[str, deque[float]] = defaultdict(deque)

    # ------------------------------------------------------------------ keys
    def check_request(
        self, method: str, path: str, headers: Mapping[str, str], body: str
    ) -> None:
        """Refuse a private request whose key, environment, time stamp or signature is wrong."""
        key, stamp = headers.get("OK-ACCESS-KEY", ""), headers.get("OK-ACCESS-TIMESTAMP", "")
        if not key:
            raise Refused("50103", "Request header OK-ACCESS-KEY can not be empty.")
        if key != self.keys.api_key:
            raise Refused("50111", "Invalid OK-ACCESS-KEY")
        if (headers.get("x-simulated-trading") == "1") != self.keys.demo:
            raise Refused("50101", "APIKey does not match current environment.")
        try:
            moment = datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
        except ValueError:
            raise Refused("50112", "Invalid OK-ACCESS-TIMESTAMP") from None
        if not self._fresh(moment.timestamp() * 1000.0):
            raise Refused("50102", "Timestamp request expired")
        if headers.get("OK-ACCESS-PASSPHRASE") != self.keys.passphrase:
            raise Refused("50105", "Request header OK-ACCESS-PASSPHRASE incorrect.")
        if headers.get("OK-ACCESS-SIGN") != self._sign(f"{stamp}{method}{path}{body}"):
            raise Refused("50113", "Invalid Sign")

    def check_login(self, args: Mapping[str, Any]) -> None:
        """Refuse a login to the private streams that is wrong."""
        stamp = str(args.get("timestamp", ""))
        if args.get("apiKey") != self.keys.api_key:
            raise Refused("60005", "Invalid apiKey")
        if not stamp.replace(".", "", 1).isdigit() or not self._fresh(float(stamp) * 1000.0):
            raise Refused("60006", "Timestamp request expired")
        if args.get("passphrase") != self.keys.passphrase:
            raise Refused("60024", "Wrong passphrase")
        if args.get("sign") != self._sign(f"{stamp}GET/users/self/verify"):
            raise Refused("60007", "Invalid sign")

    def _fresh(self, stamp_ms: float) -> bool:
        skew = self._clock.skew_ms
        if not skew and self._clock.time_scale != 1.0:
            return True  # no client can keep up with a clock that stands, leaps or races
        nows = (time.time() * 1000.0, self._clock.now_ms)
        return any(abs(now + skew - stamp_ms) <= _TOLERANCE_MS for now in nows)

    def _sign(self, text: str) -> str:
        made = hmac.new(self.keys.secret.encode(), text.encode(), hashlib.sha256)
        return base64.b64encode(made.digest()).decode()

    # ------------------------------------------------------------------ rates
    def check_rate(self, method: str, path: str, args: Any) -> None:
        """Refuse what comes too often (50011; 50061 for the orders of the account)."""
        if not self._limited:
            return
        allowed = LIMITS.get(path, _OTHER_LIMIT)
        orders = args if isinstance(args, list) else [args]
        if method == "POST" and path.rpartition("/")[2] in _BY_INSTRUMENT:
            places = not path.startswith("trade/cancel")
            for each in orders:
                kind = "place" if "amend" not in path and places else path
                self._count(f"{kind} {each.get('instId')}", allowed, "50011", "Too Many Requests")
                if places:
                    text = "Order rate limit of the sub-account exceeded"
                    self._count("orders", _ORDERS_OF_ACCOUNT, "50061", text)
        else:
            self._count(f"{method} {path}", allowed, "50011", "Too Many Requests")

    def check_connection(self) -> bool:
        """Tell whether another socket may open: three in a second."""
        if not self._limited:
            return True
        try:
            self._count("sockets", 3, "", "", window=1.0)
        except Refused:
            return False
        return True

    def _count(
        self, name: str, allowed: int, code: str, text: str, window: float = _WINDOW_S
    ) -> None:
        seen, now = self._seen[name], time.monotonic()
        while seen and now - seen[0] >= window:
            seen.popleft()
        if len(seen) >= allowed:
            raise Refused(code, text)
        seen.append(now)
