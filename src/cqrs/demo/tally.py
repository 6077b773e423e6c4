"""Running totals for a view that looks several times a second: each fact is counted once."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter

from cqrs.demo.figures import Figures, percentile
from cqrs.demo.recorder import Answer, Recorder, Service
from cqrs.demo.schedule import Kind


class Tally:
    """Counts what a recorder has collected.

    Attributes:
        calls: calls to the upstream, by service and kind.
        calls_in_trouble: calls to the upstream in trouble, by service.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._answers: Counter[tuple[Service, Kind, int, Answer]] = Counter()
        self._seconds: dict[Service, list[float]] = {service: [] for service in Service}
        self._done = 0
        self._called = 0
        self.calls: Counter[tuple[Service, Kind]] = Counter()
        self.calls_in_trouble: Counter[Service] = Counter()

    def update(self) -> None:
        """Count what is new."""
        for done in self._recorder.done[self._done :]:
            self._done += 1
            self._answers[done.service, done.kind, done.phase, done.answer] += 1
            insort(self._seconds[done.service], done.seconds)
        for call in self._recorder.called[self._called :]:
            self._called += 1
            self.calls[call.service, call.kind] += 1
            self.calls_in_trouble[call.service] += self._recorder.entered[call.phase].phase.in_trouble

    def counts(self, service: Service, kind: Kind | None = None, phase: int | None = None) -> Figures:
        """Return how the requests of a service ended, of one kind or in one phase if given; without times."""
        counts: Counter[Answer] = Counter()
        for (of_service, of_kind, of_phase, answer), count in self._answers.items():
            if of_service is service and kind in (None, of_kind) and phase in (None, of_phase):
                counts[answer] += count
        return Figures(
            primary=counts[Answer.PRIMARY],
            fallback=counts[Answer.FALLBACK],
            rejected=counts[Answer.REJECTED],
            failed=counts[Answer.FAILED],
            p50=None,
            p99=None,
        )

    def times(self, service: Service) -> tuple[float | None, float | None]:
        """Return the median and p99 of a service's answer times over the whole run, in seconds."""
        ordered = self._seconds[service]
        return percentile(ordered, 0.5), percentile(ordered, 0.99)

    def between(self, service: Service, start: float, end: float, kind: Kind | None = None) -> Figures:
        """Work out the figures of requests that ended from ``start`` until before ``end``."""
        # Requests are recorded when they end, so they are in the order of their ends.
        done = self._recorder.done
        first = bisect_left(done, start, key=lambda item: item.at)
        last = bisect_left(done, end, key=lambda item: item.at)
        return Figures.of(
            item for item in done[first:last] if item.service is service and kind in (None, item.kind)
        )
