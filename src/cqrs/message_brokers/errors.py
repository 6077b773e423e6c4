"""How errors of libraries become those of brokers."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager

from cqrs.exceptions import MessageBrokerError, MessageRefusedError

__all__ = ["MessageTooLargeError", "reason_of", "translated"]


class MessageTooLargeError(MessageRefusedError):
    """The broker takes no message of this size; a smaller one, it might."""


def reason_of(error: BaseException) -> str:
    """Return what an error says, or else its name.

    >>> reason_of(OSError("no route")), reason_of(TimeoutError())
    ('no route', 'TimeoutError')
    """
    return str(error) or type(error).__name__


@contextmanager
def translated(
    topic: str, meaning: Callable[[str, Exception], MessageBrokerError]
) -> Generator[None, None, None]:
    """Raise what an error of a library means to whoever sent a message, from that error."""
    try:
        yield
    except MessageBrokerError:
        raise  # with the cause that it has
    except Exception as error:
        raise meaning(topic, error) from error
