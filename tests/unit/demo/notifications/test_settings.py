from __future__ import annotations

import pytest

from cqrs.demo.notifications.plan import Plan
from cqrs.demo.notifications.services.settings import Settings


def test_the_environment_sets_every_field() -> None:
    environment = {
        "REDIS_URL": "redis://cache/0",
        "USER_URL": "http://user/v1",
        "NOTIF_NAMESPACE": "shop",
        "NOTIF_THRESHOLD": "4",
        "NOTIF_TTL": "12.5",
        "NOTIF_TIMEOUT": "0.5",
        "NOTIF_WHEN_DOWN": "refuse",
        "NOTIF_QUEUE_SIZE": "9",
        "NOTIF_RETRY_INTERVAL": "3",
        "NOTIF_MAX_ATTEMPTS": "2",
        "NOTIF_SMTP_HOST": "mail",
        "NOTIF_SMTP_PORT": "25",
        "NOTIF_SENDER": "us@example.test",
        "HOME": "/root",
    }
    assert Settings.from_environment(environment) == Settings(
        user_url="http://user/v1",
        redis_url="redis://cache/0",
        namespace="shop",
        threshold=4,
        ttl=12.5,
        timeout=0.5,
        when_down="refuse",
        queue_size=9,
        retry_interval=3.0,
        max_attempts=2,
        smtp_host="mail",
        smtp_port=25,
        sender="us@example.test",
    )


def test_without_an_environment_there_are_defaults() -> None:
    assert Settings.from_environment({}) == Settings()
    assert (Settings().threshold, Settings().ttl) == (3, 30.0)


@pytest.mark.parametrize(
    ("variable", "value", "complaint"),
    [
        ("NOTIF_TTL", "soon", "NOTIF_TTL='soon' is not a number"),
        ("NOTIF_THRESHOLD", "2.5", "NOTIF_THRESHOLD='2.5' is not a number"),
        ("NOTIF_TTL", "0", "ttl must be more than 0 s, not 0.0"),
        ("NOTIF_TTL", "nan", "ttl must be more than 0 s, not nan"),
        ("NOTIF_QUEUE_SIZE", "0", "queue_size must be at least 1, not 0"),
        ("NOTIF_WHEN_DOWN", "panic", "when_down must be 'queue' or 'refuse', not 'panic'"),
    ],
)
def test_a_wrong_value_is_refused_by_name(variable: str, value: str, complaint: str) -> None:
    with pytest.raises(ValueError) as caught:
        Settings.from_environment({variable: value})
    assert str(caught.value) == complaint


@pytest.mark.parametrize(
    ("field", "value"), [("seconds", 5.9), ("seconds", float("nan")), ("processes", 0), ("processes", 9)]
)
def test_a_plan_refuses_what_it_cannot_do(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=str(value)):
        Plan(**{field: value})
