from __future__ import annotations

import dataclasses

from cqrs.outbox.key_order import overtakes


@dataclasses.dataclass
class Row:
    id: int
    message_key: str | None
    topic: str = "topic"


def test_what_is_younger_than_another_row_of_its_key_overtakes_it() -> None:
    rows = [Row(1, "a"), Row(3, "a"), Row(4, "b"), Row(5, None), Row(6, "a", "other")]
    assert overtakes(rows, [("topic", "a", 2)]) == [3]
    assert overtakes(rows, []) == []


def test_keys_that_a_database_may_take_for_one_wait_for_each_other() -> None:
    assert overtakes([Row(3, "a ")], [("Topic", "A", 2)]) == [3]
    assert overtakes([Row(3, "a")], [("topic", "b", 2)]) == []
