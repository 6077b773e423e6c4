"""What the broker in memory keeps."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Mapping

from cqrs.message_brokers.receiving import ReceivedMessage

__all__ = ["DeadLetter", "Stored"]


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """A message as the broker keeps it."""

    topic: str
    offset: int
    body: bytes
    headers: Mapping[str, str]
    message_name: str
    message_id: uuid.UUID
    key: str | None


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class DeadLetter:
    """A message that a group has put aside.

    Args:
        message: as it was received last.
        group: the group.
        reason: why.
        attempts: how often it was tried.
    """

    message: ReceivedMessage
    group: str
    reason: str
    attempts: int
