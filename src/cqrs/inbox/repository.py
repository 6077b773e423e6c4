"""What an inbox must offer."""

from __future__ import annotations

import abc
import re
import uuid

from cqrs.exceptions import ConfigurationTypeError

__all__ = ["InboxRepository"]

_LONGEST = 190
_UUID = re.compile("[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)


class InboxRepository(abc.ABC):
    """Remembers which messages a consumer has handled, in the transaction in which it handles them.

    A message that a broker delivers again is thereby handled once: its registration and the effects of
    handling it become durable together, or not at all.
    """

    @abc.abstractmethod
    async def register(
        self, consumer: str, message_id: uuid.UUID | str, *, event_name: str | None = None
    ) -> bool:
        """Register a message; return whether it is new to this consumer.

        While another transaction that has registered the same message is open, this waits for it: then the
        message is new only if that one was rolled back.

        Args:
            consumer: who handles it, 1 to 190 characters; each consumer handles each message once.
            message_id: identity of the message; a UUID, or a text of 1 to 190 characters. The text of a UUID
                is that UUID, in small or capital letters, with or without hyphens; other texts are the same
                only if every character is.
            event_name: what it tells, for people.

        Raises:
            ConfigurationTypeError: an argument is no such text.
        """

    @abc.abstractmethod
    async def finish(self, consumer: str, message_id: uuid.UUID | str) -> None:
        """Write that a registered message was handled, and when."""


def checked_consumer(consumer: object) -> str:
    """Return the name of a consumer.

    Raises:
        ConfigurationTypeError: it is no text of 1 to 190 characters.
    """
    if not isinstance(consumer, str) or not 1 <= len(consumer) <= _LONGEST:
        raise ConfigurationTypeError(
            f"a consumer is named by a str of 1 to {_LONGEST} characters, not {consumer!r:.200}"
        )
    if "\0" in consumer:
        raise ConfigurationTypeError(f"a consumer is named by a text without NUL, unlike {consumer!r}")
    return consumer


def checked_message_id(message_id: object) -> str:
    """Return the identity of a message as text; a UUID always in the same form.

    Raises:
        ConfigurationTypeError: it is neither a UUID nor a text of 1 to 190 characters.
    """
    text = str(message_id) if isinstance(message_id, uuid.UUID) else message_id
    if not isinstance(text, str) or not 1 <= len(text) <= _LONGEST:
        raise ConfigurationTypeError(
            f"a message is identified by a UUID or a str of 1 to {_LONGEST} characters, "
            f"not {message_id!r:.200}"
        )
    if "\0" in text:
        raise ConfigurationTypeError(f"a message is identified by a text without NUL, unlike {text!r}")
    return str(uuid.UUID(text)) if _UUID.fullmatch(text) else text
