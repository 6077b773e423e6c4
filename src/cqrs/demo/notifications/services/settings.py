"""What can be set, in a process by arguments and in a container by its environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

WhenDown = Literal["queue", "refuse"]

USER_URL = "http://127.0.0.1:8001/v1"


@dataclass(frozen=True)
class Settings:
    """The settings of ``notif``; all times in seconds.

    Args:
        user_url: base URL of the service ``user``, with its version.
        redis_url: of the Redis or Valkey server that shares the circuit; empty: each process has its own.
        namespace: keeps applications on one such server apart.
        threshold: failures in a row that open the circuit; >= 1.
        ttl: how long it stays open; > 0.
        timeout: how long a lookup may take; > 0.
        when_down: ``"queue"`` the mail of a user who cannot be looked up now, or ``"refuse"`` with 503.
        queue_size: mails that may wait; >= 1.
        retry_interval: between attempts to send a mail that waits, while the circuit is closed; > 0. For a
            user whose lookups fail it doubles with each failure, up to sixteen times this.
        max_attempts: calls of ``user`` after which a mail that waits is given up; >= 1.
        smtp_host, smtp_port: of the mail server.
        sender: the address that mails come from.

    Raises:
        ValueError: a value is out of range.
    """

    user_url: str = USER_URL
    redis_url: str = ""
    namespace: str = "notifications"
    threshold: int = 3
    ttl: float = 30.0
    timeout: float = 2.0
    when_down: WhenDown = "queue"
    queue_size: int = 1000
    retry_interval: float = 1.0
    max_attempts: int = 10
    smtp_host: str = "127.0.0.1"
    smtp_port: int = 8025
    sender: str = "notif@example.test"

    def __post_init__(self) -> None:
        for name in ("ttl", "timeout", "retry_interval"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be more than 0 s, not {getattr(self, name)!r}")
        for name in ("threshold", "queue_size", "max_attempts"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)!r}")
        if self.when_down not in get_args(WhenDown):
            raise ValueError(f"when_down must be 'queue' or 'refuse', not {self.when_down!r}")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Read ``REDIS_URL``, ``USER_URL``, and ``NOTIF_<FIELD>`` for each other field, as ``NOTIF_TTL``.

        Raises:
            ValueError: a value is no number, or out of range; it says which.

        >>> Settings.from_environment({"REDIS_URL": "redis://cache/0", "NOTIF_TTL": "5"}).ttl
        5.0
        """
        given: dict[str, Any] = {}
        for name, annotation in cls.__annotations__.items():
            variable = name.upper() if name in ("redis_url", "user_url") else f"NOTIF_{name.upper()}"
            text = environment.get(variable)
            if text is None:
                continue
            kind = {"int": int, "float": float}.get(annotation, str)
            try:
                given[name] = kind(text)
            except ValueError:
                raise ValueError(f"{variable}={text!r} is not a number") from None
        return cls(**given)
