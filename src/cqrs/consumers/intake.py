"""Taking messages from a source, however often it breaks."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from cqrs.circuit_breaker import Backoff
from cqrs.consumers.hand import Hand
from cqrs.consumers.statistics import ConsumerStatistics
from cqrs.exceptions import BrokerUnavailableError, ConfigurationError
from cqrs.message_brokers.receiving import MessageSource

_logger = logging.getLogger(__name__)


async def take_in(
    source: MessageSource,
    hand: Hand,
    backoff: Backoff,
    sleep: Callable[[float], Awaitable[object]],
    random: Callable[[], float],
    statistics: ConsumerStatistics,
) -> None:
    """Start the source and hand all its messages over, until it has stopped.

    When it breaks, it is tried again after a pause that grows from one failure to the next.

    Raises:
        ConfigurationError, ImportError: the source cannot work as it was set up.
    """
    failures = 0
    has_started = False
    while True:
        try:
            if not has_started:
                await source.start()
                has_started = True
            messages = source.messages()
            try:
                async for message in messages:
                    failures = 0
                    await hand.take(message)
            finally:
                aclose = getattr(messages, "aclose", None)
                if aclose is not None:
                    await aclose()
            return
        except (ConfigurationError, ImportError):
            raise
        except Exception as error:
            failures += 1
            statistics.reconnects += 1
            pause = backoff.duration(failures, random())
            expected = isinstance(error, BrokerUnavailableError)
            _logger.warning(
                "no messages come: %s; next try in %.1f s",
                error,
                pause,
                exc_info=None if expected else error,
                extra={"failures": failures, "pause": pause},
            )
            if has_started and expected:
                await hand.drop_waiting()
        await sleep(pause)
