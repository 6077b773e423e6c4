"""How a process takes part in a fleet: the settings of a store."""

from __future__ import annotations

import urllib.parse
from dataclasses import dataclass
from typing import Literal

from cqrs.circuit_breaker import validation
from cqrs.exceptions import PolicyError

VERSION = 1
"""Version of the script and of the fields it keeps: part of every key, so that two versions never mix."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """Settings of a store, validated. Durations are seconds.

    Args:
        namespace: keeps applications on one server apart; any text that is not empty.
        sync_interval: time between two exchanges with nothing urgent to say; 0.01 to 60.
        command_timeout: what a call that wants to be a probe waits for the store at most; > 0.
        connect_timeout: time for a new connection; > 0.
        quorum: share of the reporting processes that must be unhealthy before the fleet opens; 0 to 1. 0: one
            process is enough.
        shards: number of hash slots that the circuits are spread over; 1 to 1024. The same in all processes.
        push: also listen for published changes; without, changes arrive with the next exchange.
        replicas: replicas that must confirm a granted probe before it runs; >= 0.
        startup: what ``start()`` does when the store cannot be reached: ``"local"`` goes on with circuits of
            this process alone, ``"fail"`` raises.

    Raises:
        PolicyError: a value is out of range.
    """

    namespace: str
    sync_interval: float = 1.0
    command_timeout: float = 0.05
    connect_timeout: float = 1.0
    quorum: float = 0.5
    shards: int = 1
    push: bool = True
    replicas: int = 0
    startup: Literal["local", "fail"] = "local"

    def __post_init__(self) -> None:
        if not isinstance(self.namespace, str) or not self.namespace:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise PolicyError("namespace", self.namespace, "a text that is not empty, say your application")
        for name in ("sync_interval", "command_timeout", "connect_timeout"):
            object.__setattr__(self, name, validation.seconds(name, getattr(self, name)))
        if not 0.01 <= self.sync_interval <= 60.0:
            raise PolicyError("sync_interval", self.sync_interval, "from 0.01 to 60 seconds")
        object.__setattr__(self, "quorum", validation.ratio("quorum", self.quorum, zero=True))
        validation.count("shards", self.shards, high=1024)
        if isinstance(self.replicas, bool) or not isinstance(self.replicas, int) or self.replicas < 0:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise PolicyError("replicas", self.replicas, "a whole number of at least 0")
        if not isinstance(self.push, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise PolicyError("push", self.push, "True or False")
        validation.choice("startup", self.startup, ("local", "fail"))

    @property
    def sync_timeout(self) -> float:
        """Seconds for an exchange that nobody waits for."""
        return max(self.command_timeout, min(0.25, self.sync_interval / 4))

    @property
    def max_staleness(self) -> float:
        """Seconds without a successful exchange after which the process is degraded (F6)."""
        return 3 * self.sync_interval + self.sync_timeout

    @property
    def confirm_time(self) -> float:
        """Seconds in which every process can have heard of failures in a row, and reported a success."""
        return 0.1 if self.push else 1.1 * self.sync_interval + self.sync_timeout

    def prefix(self, shard: int) -> str:
        """Return what all keys of a shard begin with; the braces make them one slot of a cluster (F12).

        >>> StoreSettings(namespace="shop {eu}").prefix(0)
        'holdfast:1:{shop%20%7Beu%7D:0}:'
        """
        name = urllib.parse.quote(self.namespace, safe="", errors="surrogatepass").replace("~", "%7E")
        return f"holdfast:{VERSION}:{{{name}:{shard}}}:"

    def channel(self, shard: int) -> str:
        """Return the channel that changes of a shard are published on."""
        return self.prefix(shard) + "ch"
