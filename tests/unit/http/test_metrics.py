"""Figures of calls and circuits, as Prometheus reads them."""

from __future__ import annotations

import gc
import shutil
import subprocess
import weakref
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, generate_latest

from cqrs.circuit_breaker import CircuitBreakerPolicy, CircuitBreakers, CircuitOpenError, Mode
from cqrs.exceptions import ConfigurationError, ConfigurationTypeError, PolicyError
from cqrs.http.metrics import PrometheusMetrics
from cqrs.testing import FakeClock, MemoryServer, MemoryStore
from tests.servers.plugin import NOT_TESTED


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def circuits(clock: FakeClock, **options: object) -> CircuitBreakers:
    policy = CircuitBreakerPolicy.consecutive(threshold=2, ttl=10)
    return CircuitBreakers(policy, clock=clock, **options)  # type: ignore[arg-type]


def fail(breakers: CircuitBreakers, name: str, times: int = 1) -> None:
    for _ in range(times):
        breakers[name].acquire().failure()


def reject(breakers: CircuitBreakers, name: str) -> None:
    with pytest.raises(CircuitOpenError):
        breakers[name].acquire()


class Scrape:
    """Figures of one scrape, by short name and labels."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._values = {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for metric in registry.collect()
            for sample in metric.samples
        }

    def __call__(self, name: str, client: str = "user", **labels: str) -> float | None:
        wanted = {"client_name": client, **labels}
        return self._values.get((f"holdfast_circuit_breaker_{name}", tuple(sorted(wanted.items()))))

    def latency(self, client: str, path: str, status: str) -> float | None:
        labels = {"client_name": client, "method": "GET", "path": path, "status_code": status}
        return self._values.get(("holdfast_request_latency_seconds_count", tuple(sorted(labels.items()))))

    def of(self, name: str, **labels: str) -> float | None:
        return self._values.get((name, tuple(sorted(labels.items()))))


def transition(scrape: Scrape, before: str, after: str, client: str = "user") -> float | None:
    return scrape("transitions_total", client, from_state=before, to_state=after)


def test_a_circuit_is_complete_at_the_first_scrape(registry: CollectorRegistry, clock: FakeClock) -> None:
    breakers = circuits(clock)
    PrometheusMetrics(registry=registry).watch(breakers)
    breakers["user"]
    scrape = Scrape(registry)
    assert scrape("state") == 0
    assert scrape("errors_total") == scrape("rejections_total") == scrape("probes_lost_total") == 0
    assert scrape("probes") == 0
    for way in (("closed", "open"), ("open", "half_open"), ("half_open", "open"), ("half_open", "closed")):
        assert transition(scrape, *way) == 0


def test_states_are_those_of_the_moment_of_the_scrape(registry: CollectorRegistry, clock: FakeClock) -> None:
    breakers = circuits(clock)
    PrometheusMetrics(registry=registry).watch(breakers)
    fail(breakers, "user", 2)
    assert Scrape(registry)("state") == 2
    clock.advance(10)
    assert Scrape(registry)("state") == 1  # nobody has called since
    probe = breakers["user"].acquire()
    assert (Scrape(registry)("state"), Scrape(registry)("probes")) == (1, 1)
    probe.success()
    assert (Scrape(registry)("state"), Scrape(registry)("probes")) == (0, 0)


@pytest.mark.parametrize(
    ("mode", "value"), [(Mode.FORCED_OPEN, 2), (Mode.DISABLED, 0), (Mode.METRICS_ONLY, 0), (Mode.ENABLED, 0)]
)
def test_modes_have_a_state(registry: CollectorRegistry, clock: FakeClock, mode: Mode, value: int) -> None:
    breakers = circuits(clock)
    PrometheusMetrics(registry=registry).watch(breakers)
    breakers["user"].override(mode)
    assert Scrape(registry)("state") == value


def test_errors_rejections_and_transitions_are_counted(registry: CollectorRegistry, clock: FakeClock) -> None:
    breakers = circuits(clock)
    PrometheusMetrics(registry=registry).watch(breakers)
    fail(breakers, "user", 2)
    for _ in range(3):
        reject(breakers, "user")
    clock.advance(10)
    breakers["user"].acquire().failure()
    clock.advance(10)
    breakers["user"].acquire().success()
    scrape = Scrape(registry)
    assert scrape("errors_total") == 3
    assert scrape("rejections_total") == 3
    assert transition(scrape, "closed", "open") == 1
    assert transition(scrape, "open", "half_open") == 2
    assert transition(scrape, "half_open", "open") == 1
    assert transition(scrape, "half_open", "closed") == 1


def test_rejections_by_a_parent_are_counted(registry: CollectorRegistry, clock: FakeClock) -> None:
    breakers = circuits(clock)
    PrometheusMetrics(registry=registry).watch(breakers)
    child = breakers.key("user", "7")
    fail(breakers, "user", 2)
    with pytest.raises(CircuitOpenError):
        child.acquire()
    del child
    assert Scrape(registry)("rejections_total", "user:7") == 1


def test_counters_do_not_fall_when_a_circuit_is_dropped_and_made_anew(
    registry: CollectorRegistry, clock: FakeClock
) -> None:
    breakers = circuits(clock, idle_ttl=60)
    PrometheusMetrics(registry=registry).watch(breakers)
    fail(breakers, "user", 2)
    reject(breakers, "user")
    clock.advance(10)
    breakers["user"].acquire().success()

    def figures() -> tuple[float | None, ...]:
        scrape = Scrape(registry)
        return (
            scrape("errors_total"),
            scrape("rejections_total"),
            transition(scrape, "closed", "open"),
        )

    assert figures() == (2, 1, 1)
    clock.advance(10_000)
    breakers.sweep()  # looks
    clock.advance(10_000)
    gc.collect()  # tracebacks of the rejections hold the circuit
    breakers.sweep()
    assert "user" not in breakers
    assert figures() == (2, 1, 1)
    assert figures() == (2, 1, 1)  # kept once, not again and again
    fail(breakers, "user")
    assert figures() == (3, 1, 1)


def test_counters_survive_a_circuit_that_is_replaced_between_two_scrapes(
    registry: CollectorRegistry, clock: FakeClock
) -> None:
    breakers = circuits(clock, idle_ttl=60)
    PrometheusMetrics(registry=registry).watch(breakers)
    fail(breakers, "user", 1)
    breakers["user"].acquire().success()
    assert Scrape(registry)("errors_total") == 1
    first = weakref.ref(breakers["user"].gate)
    clock.advance(10_000)
    breakers.sweep()
    clock.advance(10_000)
    breakers.sweep()
    assert first() is None
    fail(breakers, "user")
    assert Scrape(registry)("errors_total") == 2


def test_a_registry_of_circuits_is_not_kept_alive_but_its_counts_are(
    registry: CollectorRegistry, clock: FakeClock
) -> None:
    breakers = circuits(clock)
    PrometheusMetrics(registry=registry).watch(breakers)
    fail(breakers, "user", 2)
    assert Scrape(registry)("errors_total") == 2
    gone = weakref.ref(breakers)
    del breakers
    gc.collect()
    assert gone() is None
    scrape = Scrape(registry)
    assert scrape("errors_total") == 2
    assert scrape("state") is None


def test_a_registry_that_is_watched_twice_counts_once(registry: CollectorRegistry, clock: FakeClock) -> None:
    breakers = circuits(clock)
    PrometheusMetrics(registry=registry).watch(breakers)
    PrometheusMetrics(registry=registry).watch(breakers)
    fail(breakers, "user", 2)
    scrape = Scrape(registry)
    assert scrape("errors_total") == 2
    assert transition(scrape, "closed", "open") == 1


def test_circuits_of_one_name_in_two_registries_add_up_and_the_worse_state_shows(
    registry: CollectorRegistry, clock: FakeClock
) -> None:
    first, second = circuits(clock), circuits(clock)
    metrics = PrometheusMetrics(registry=registry)
    metrics.watch(first)
    metrics.watch(second)
    fail(first, "user", 2)
    fail(second, "user", 1)
    scrape = Scrape(registry)
    assert scrape("errors_total") == 3
    assert scrape("state") == 2


def test_names_beyond_the_limit_share_a_label(registry: CollectorRegistry, clock: FakeClock) -> None:
    breakers = circuits(clock)
    metrics = PrometheusMetrics(registry=registry, max_clients=2)
    metrics.watch(breakers)
    for name in ("a", "b"):
        breakers[name]
    Scrape(registry)
    for name in ("c", "d"):
        fail(breakers, name)
        metrics.observe(name, "GET", "/x", 200, 0.1)
    fail(breakers, "d")
    for name in ("e", "f"):
        metrics.observe(name, "GET", "/x", 200, 0.1)
    scrape = Scrape(registry)
    assert scrape("errors_total", "c") is None
    assert scrape("errors_total", "other") == 3
    assert scrape("state", "other") == 2
    assert scrape.latency("c", "/x", "200") == 1
    assert scrape.latency("e", "/x", "200") is None
    assert scrape.latency("other", "/x", "200") == 2


def test_latencies_are_by_client_method_path_and_status(registry: CollectorRegistry) -> None:
    metrics = PrometheusMetrics(registry=registry, buckets=(0.1, 1))
    metrics.observe("user", "GET", "/v1/users/{name}", 200, 0.05)
    metrics.observe("user", "GET", "/v1/users/{name}", 200, 0.5)
    metrics.observe("user", "GET", "/v1/users/{name}", "timeout", 5)
    scrape = Scrape(registry)
    assert scrape.latency("user", "/v1/users/{name}", "200") == 2
    assert scrape.latency("user", "/v1/users/{name}", "timeout") == 1
    labels = {"client_name": "user", "method": "GET", "path": "/v1/users/{name}", "status_code": "200"}
    assert scrape.of("holdfast_request_latency_seconds_bucket", le="0.1", **labels) == 1


def test_two_of_one_prefix_share_their_instruments(registry: CollectorRegistry) -> None:
    for _ in range(2):
        PrometheusMetrics(registry=registry).observe("user", "GET", "/", 200, 0.1)
    assert Scrape(registry).latency("user", "/", "200") == 2


def test_two_of_one_prefix_must_agree(registry: CollectorRegistry) -> None:
    PrometheusMetrics(registry=registry)
    with pytest.raises(ConfigurationError, match="another prefix"):
        PrometheusMetrics(registry=registry, buckets=(1, 2))
    PrometheusMetrics(registry=registry, buckets=(1, 2), prefix="mine")


def test_two_registries_have_nothing_in_common(registry: CollectorRegistry) -> None:
    PrometheusMetrics(registry=registry)
    other = CollectorRegistry()
    PrometheusMetrics(registry=other, buckets=(1, 2)).observe("user", "GET", "/", 200, 0.1)
    assert Scrape(registry).latency("user", "/", "200") is None


@pytest.mark.parametrize("name", ["holdfast_request_latency_seconds", "holdfast_circuit_breaker_errors"])
def test_names_that_somebody_else_has_taken_are_refused(registry: CollectorRegistry, name: str) -> None:
    taken = Counter(name, "Something else.", registry=registry)
    with pytest.raises(ConfigurationError, match="'holdfast'"):
        PrometheusMetrics(registry=registry)
    registry.unregister(taken)
    PrometheusMetrics(registry=registry)  # and nothing was left half made


def test_without_a_registry_it_is_the_one_of_prometheus_client() -> None:
    from prometheus_client import REGISTRY

    PrometheusMetrics(prefix="holdfast_unit_test").observe("user", "GET", "/", 200, 0.1)
    assert b"holdfast_unit_test_request_latency_seconds_count" in generate_latest(REGISTRY)


@pytest.mark.parametrize("prefix", ["", "7up", "with-dash", "a b", "é"])
def test_a_prefix_is_a_name(registry: CollectorRegistry, prefix: str) -> None:
    with pytest.raises(ConfigurationError, match="prefix="):
        PrometheusMetrics(registry=registry, prefix=prefix)


@pytest.mark.parametrize(
    "options", [{"buckets": "abc"}, {"buckets": 5}, {"buckets": [1, float("nan")]}], ids=str
)
def test_buckets_are_numbers(registry: CollectorRegistry, options: Any) -> None:
    with pytest.raises(ConfigurationError, match="buckets takes upper bounds in seconds"):
        PrometheusMetrics(registry=registry, **options)


def test_a_registry_is_one_of_prometheus() -> None:
    other: Any = 5
    with pytest.raises(ConfigurationError, match="registry must be a CollectorRegistry, not 5"):
        PrometheusMetrics(registry=other)


def test_wrong_arguments_are_refused(registry: CollectorRegistry) -> None:
    with pytest.raises(PolicyError, match="max_clients"):
        PrometheusMetrics(registry=registry, max_clients=0)
    with pytest.raises(ConfigurationTypeError, match="CircuitBreakers"):
        PrometheusMetrics(registry=registry).watch({"user": 1})  # type: ignore[arg-type]


def test_a_store_is_shown(registry: CollectorRegistry) -> None:
    with MemoryStore(MemoryServer(), namespace="shop") as store:
        breakers = CircuitBreakers(store=store)
        PrometheusMetrics(registry=registry).watch(breakers)
        breakers["user"]
        assert Scrape(registry).of("holdfast_circuit_breaker_store_degraded", namespace="shop") == 0


def test_promtool_finds_nothing_to_say(registry: CollectorRegistry, clock: FakeClock) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip(f"{NOT_TESTED}promtool is not on PATH")
    breakers = circuits(clock)
    metrics = PrometheusMetrics(registry=registry)
    metrics.watch(breakers)
    metrics.observe("user", "GET", "/", 200, 0.1)
    fail(breakers, "user", 2)
    run = subprocess.run(
        [promtool, "check", "metrics"], input=generate_latest(registry), capture_output=True, timeout=60
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, b"", b"")
