"""A small recorded run, made by hand: four seconds, the upstream in trouble from second 1 to 3."""

from __future__ import annotations

from cqrs.demo.recorder import Answer, Recorder, Service
from cqrs.demo.schedule import Kind, Mode, Phase
from cqrs.demo.store import Books
from cqrs.demo.summary import Summary, summarise
from cqrs.testing import FakeClock

HEALTHY = Phase("healthy", Mode.HEALTHY, 1.0, "it answers")
SLOW = Phase("slow", Mode.SLOW, 1.0, "it dawdles")
DEAD = Phase("dead", Mode.DEAD, 1.0, "it is gone")
RECOVERED = Phase("recovered", Mode.HEALTHY, 1.0, "it is back")

NO_BOOKS = Books(orders=0, paid=0, announced=0, parked=0)


class Script:
    """Writes a run down; time passes only when told."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.recorder = Recorder(self.clock)

    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def request(
        self,
        service: Service,
        kind: Kind,
        answer: Answer,
        seconds: float = 0.0,
        error: str | None = None,
    ) -> None:
        """A request that is sent now and ends ``seconds`` later."""
        sent = self.recorder.now()
        self.recorder.submit(service)
        if answer is not Answer.REJECTED:
            self.recorder.call(service, kind)
        self.wait(seconds)
        self.recorder.finish(service, kind, sent, answer, error)

    def switch(self, kind: Kind, to_state: str, reason: str = "because") -> None:
        self.recorder.switch(kind, to_state, reason, self.clock())

    def summary(self, books: Books = NO_BOOKS) -> Summary:
        self.recorder.end()
        return summarise(self.recorder, dict.fromkeys(Service, books), seed=7, processes=2, orphans=[])


def a_good_run() -> Script:
    """Every kind opens 0.2 s into the trouble and is answered by its primary 0.1 s after the recovery."""
    script = Script()
    script.recorder.enter(HEALTHY)
    for service in Service:
        for kind in Kind:
            script.request(service, kind, Answer.PRIMARY, 0.01)
    script.wait(1.0 - script.recorder.now())
    script.recorder.enter(SLOW)
    script.wait(0.2)
    for kind in Kind:
        script.switch(kind, "open", "too many calls were slow")
        script.request(Service.WITH, kind, Answer.REJECTED)
        script.request(Service.WITH, kind, Answer.REJECTED)
        script.request(Service.WITHOUT, kind, Answer.FALLBACK, 0.05)
        script.request(Service.WITHOUT, kind, Answer.PRIMARY, 0.05)
    script.wait(2.0 - script.recorder.now())
    script.recorder.enter(DEAD)
    for kind in Kind:
        script.request(Service.WITH, kind, Answer.REJECTED)
        script.request(Service.WITHOUT, kind, Answer.FALLBACK)
    script.wait(3.0 - script.recorder.now())
    script.recorder.enter(RECOVERED)
    script.wait(0.1)
    for kind in Kind:
        script.request(Service.WITHOUT, kind, Answer.PRIMARY)
        script.switch(kind, "probing")
        script.request(Service.WITH, kind, Answer.PRIMARY)
        script.switch(kind, "ramping")
        script.switch(kind, "closed")
    script.wait(4.0 - script.recorder.now())
    return script
