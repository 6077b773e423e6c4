"""What a process and its store say to each other, apart from the decisions.

Everything is JSON objects, and every time in them a duration in whole microseconds: clocks of different
machines are never compared (F5). ``-1`` stands for "none".
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Any

from cqrs.circuit_breaker.fleet.settings import StoreSettings
from cqrs.circuit_breaker.fleet.transport import Message
from cqrs.circuit_breaker.policy import CircuitBreakerPolicy
from cqrs.circuit_breaker.timing import TimeWindow

EVERYWHERE = "*"
"""The id under which an override of all circuits is kept; no circuit's name gives it."""

CROWD = 50
"""Living processes above which a row of failures must be confirmed by the silence of those that succeed."""

NO_WINDOW_REPORT = 60.0
"""Seconds for which a report counts when the policy has no time window that says so."""

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.:<>-]{1,80}")


def circuit_id(name: str) -> str:
    """Return what the circuit is called in keys: its name if that is plain and short, else a hash (F12).

    >>> circuit_id("payments"), circuit_id("zahlung für {x}")[:5]
    ('payments', '~8afb')
    """
    if _PLAIN_NAME.fullmatch(name):
        return name
    return "~" + blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def shard_of(identity: str, shards: int) -> int:
    """Return the shard that keeps a circuit."""
    if shards == 1:
        return 0
    return int.from_bytes(blake2b(identity.encode(), digest_size=8).digest()) % shards


def microseconds(seconds: float) -> int:
    """Return a duration as it goes over the wire: at least 1, for what is not zero.

    >>> microseconds(0.05), microseconds(1e-9)
    (50000, 1)
    """
    return max(1, round(seconds * 1e6)) if seconds > 0 else 0


def rules_of(policy: CircuitBreakerPolicy, settings: StoreSettings) -> Message:
    """Return the part of a policy that the store decides by."""
    backoff, window, ramp = policy.backoff, policy.sliding_window, policy.recovery_ramp
    if ramp is not None and ramp.initial == 1.0:
        ramp = None  # over at once
    timed = policy.slow_call_duration_threshold is not None
    report = window.seconds if isinstance(window, TimeWindow) else NO_WINDOW_REPORT
    return {
        "cfg": summary(policy),
        "min": policy.minimum_number_of_calls,
        "fr": policy.failure_rate_threshold,
        "sr": policy.slow_call_rate_threshold if timed else -1,
        "row": -1 if policy.consecutive_failures is None else policy.consecutive_failures,
        "crowd": CROWD if settings.push else 1,
        "confirm_us": microseconds(settings.confirm_time),
        "quorum": settings.quorum,
        "grace_us": microseconds(2 * settings.sync_interval),
        "report_us": microseconds(report),
        "base_us": microseconds(backoff.initial),
        "mult": backoff.multiplier,
        "max_us": microseconds(backoff.max),
        "jit": backoff.jitter,
        "need": policy.permitted_calls_in_half_open,
        "conc": policy.max_concurrent_probes,
        "lease_us": microseconds(policy.permit_lease),
        "half_us": microseconds(policy.max_wait_duration_in_half_open),
        "half_to": policy.on_half_open_timeout,
        "ramp_us": -1 if ramp is None else microseconds(ramp.duration),
        "ramp_from": 1.0 if ramp is None else ramp.initial,
    }


class Rulebook:
    """Rules by policy, made once: a request carries those of all circuits that it is about."""

    def __init__(self, settings: StoreSettings) -> None:
        self._settings = settings
        self._known: dict[int, tuple[CircuitBreakerPolicy, Message]] = {}

    def rules_of(self, policy: CircuitBreakerPolicy) -> Message:
        """Return the rules of a policy, the same object each time."""
        known = self._known.get(id(policy))
        if known is None or known[0] is not policy:
            if len(self._known) >= 1000:
                self._known.clear()
            known = self._known[id(policy)] = (policy, rules_of(policy, self._settings))
        return known[1]


def summary(policy: CircuitBreakerPolicy) -> str:
    """Return the shared part of a policy for people: a difference between processes can be read (F13).

    >>> summary(CircuitBreakerPolicy.consecutive(5, ttl=30))
    'opens after 5 in a row; waits 30 s; probes 1, 1 at a time, lease 10 s'
    """
    opens: list[str] = []
    window = policy.sliding_window
    if window is not None:
        span = f"{window.seconds:g} s" if isinstance(window, TimeWindow) else f"{window.size} calls"
        share = f"{policy.failure_rate_threshold:g} of {policy.minimum_number_of_calls}+ calls in {span}"
        opens.append(share)
        if policy.slow_call_duration_threshold is not None:
            slow = policy.slow_call_duration_threshold
            opens.append(f"{policy.slow_call_rate_threshold:g} slower than {slow:g} s")
    if policy.consecutive_failures is not None:
        opens.append(f"{policy.consecutive_failures} in a row")
    backoff = policy.backoff
    wait = f"{backoff.initial:g} s"
    if backoff.max > backoff.initial:
        wait = f"{backoff.initial:g} to {backoff.max:g} s"
    parts = [f"opens after {' or '.join(opens)}", f"waits {wait}"]
    probes = f"probes {policy.permitted_calls_in_half_open}, {policy.max_concurrent_probes} at a time"
    parts.append(f"{probes}, lease {policy.permit_lease:g} s")
    if policy.recovery_ramp is not None:
        parts.append(f"ramp {policy.recovery_ramp.duration:g} s")
    return "; ".join(parts)


def request(
    node: str,
    incarnation: str,
    seen: tuple[str, int],
    stale: float,
    *,
    beat: bool = False,
    full: bool = False,
) -> Message:
    """Return a request without operations.

    Args:
        node: id of the sender.
        incarnation: a fresh random text, for what the store has to create.
        seen: incarnation and sequence of the shard that the sender knows.
        stale: seconds after which a silent process no longer counts as living.
        beat: also count the sender as living, and tell it what changed.
        full: tell it everything.
    """
    return {
        "node": node,
        "inc": incarnation,
        "beat": int(beat),
        "stale_us": microseconds(stale),
        "seen": list(seen),
        "full": int(full),
        "bye": 0,
        "rules": [],
        "ops": [],
    }


def add(message: Message, operation: dict[str, Any], rules: Message | None) -> None:
    """Add an operation and the rules that it goes by to a request."""
    if rules is not None:
        known: list[Message] = message["rules"]
        places = [index for index, each in enumerate(known) if each is rules]
        if not places:
            places.append(len(known))
            known.append(rules)
        operation["rules"] = places[0]
    message["ops"].append(operation)
