"""What ``notif`` shows to Prometheus beside the figures of its client."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from cqrs.demo.notifications.services.outbox import Outbox

ANSWERS = ("delivered", "queued", "refused")
ENDS = ("delivered", "unknown_user", "given_up")


class Figures:
    """The instruments of ``notif``.

    Attributes:
        answers: notifications by ``answer`` (``delivered``, ``queued`` or ``refused``) and ``reason`` (empty,
            ``circuit_open``, ``error`` or ``full``).
    """

    def __init__(self, registry: CollectorRegistry, outbox: Outbox) -> None:
        self.answers = Counter(
            "notif_notifications", "Notifications by answer.", ("answer", "reason"), registry=registry
        )
        self.answers.labels("delivered", "")
        for reason in ("circuit_open", "error"):
            self.answers.labels("queued", reason)
        registry.register(_OutboxCollector(outbox))


class _OutboxCollector(Collector):
    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    def collect(self) -> Iterator[Metric]:
        """Return the figures of this moment."""
        waiting = GaugeMetricFamily("notif_outbox_mails", "Mails that wait.")
        waiting.add_metric((), len(self._outbox))
        yield waiting
        ended = CounterMetricFamily("notif_outbox_ended", "Mails that had waited, by end.", labels=("end",))
        for end in ENDS:
            ended.add_metric((end,), self._outbox.ends[end])
        yield ended
