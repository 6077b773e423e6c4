from __future__ import annotations

import uuid
from typing import Any

import pytest

from cqrs.exceptions import ConfigurationTypeError
from cqrs.inbox.memory import MemoryInboxRepository


async def test_a_message_is_new_once_per_consumer() -> None:
    inbox = MemoryInboxRepository()
    message_id = uuid.uuid4()
    assert await inbox.register("a", message_id)
    assert not await inbox.register("a", str(message_id))
    assert await inbox.register("b", message_id)
    inbox.forget("a", message_id)
    assert await inbox.register("a", message_id)


@pytest.mark.parametrize(
    ("consumer", "message_id"), [("", "1"), (None, "1"), ("c" * 191, "1"), ("c", ""), ("c", 7)]
)
async def test_what_identifies_nothing_is_refused(consumer: Any, message_id: Any) -> None:
    with pytest.raises(ConfigurationTypeError, match="1 to 190"):
        await MemoryInboxRepository().register(consumer, message_id)
