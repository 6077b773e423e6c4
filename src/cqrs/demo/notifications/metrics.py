"""Reads ``/metrics`` of the processes, as Prometheus does."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from cqrs.demo.notifications.facts import Facts, Process, Reading
from cqrs.demo.notifications.process import ServiceProcess

INTERVAL = 0.1
NAMES = ("holdfast_circuit_breaker_", "notif_outbox_")


def reading_of(at: float, text: str) -> Reading:
    """Return what an exposition says about the client ``user``.

    >>> text = 'holdfast_circuit_breaker_state{client_name="user"} 2.0\\nnotif_outbox_mails 7.0\\n'
    >>> reading_of(1.5, text)
    Reading(at=1.5, state=2, rejections=0, errors=0, probings=0, waiting=7)
    """
    from prometheus_client.parser import text_string_to_metric_families

    # The parser is slow, and most lines are buckets.
    wanted = "".join(line for line in text.splitlines(keepends=True) if line.startswith(NAMES))
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(wanted):
        for sample in family.samples:
            if sample.labels.get("client_name", "user") == "user":
                key = sample.name.removeprefix("holdfast_circuit_breaker_")
                if key == "transitions_total":
                    key += f" {sample.labels['from_state']} {sample.labels['to_state']}"
                found[key] = sample.value
    return Reading(
        at,
        state=int(found["state"]),
        rejections=int(found.get("rejections_total", 0)),
        errors=int(found.get("errors_total", 0)),
        probings=int(found.get("transitions_total open half_open", 0)),
        waiting=int(found.get("notif_outbox_mails", 0)),
    )


async def read(facts: Facts, process: Process, service: ServiceProcess) -> None:
    """Read a process once; one that does not answer has nothing new to say."""
    try:
        text = await service.get("/metrics")
    except OSError:
        return
    process.readings.append(reading_of(facts.now(), text))


async def watch(facts: Facts, services: Sequence[ServiceProcess]) -> None:
    """Read all processes again and again, until cancelled."""
    while True:
        pairs = zip(facts.processes, services, strict=True)
        await asyncio.gather(*(read(facts, process, service) for process, service in pairs))
        await asyncio.sleep(INTERVAL)
