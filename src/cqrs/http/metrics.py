"""Figures for Prometheus: how long calls take, and what the circuits of clients do.

Needs ``pip install "holdfast[prometheus]"``.
"""

from __future__ import annotations

import math
import re
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from cqrs.circuit_breaker import validation
from cqrs.exceptions import ConfigurationError, ConfigurationTypeError

if TYPE_CHECKING:
    from prometheus_client import Counter
    from prometheus_client.registry import CollectorRegistry

    from cqrs.circuit_breaker import CircuitBreakers
    from cqrs.http.metrics_collector import CircuitCollector

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the latency histogram by default, in seconds."""

_PREFIX = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)


class PrometheusMetrics:
    """The instruments of one prefix in one registry of ``prometheus_client``.

    ::

        <prefix>_request_latency_seconds{client_name, method, path, status_code}        histogram
        <prefix>_circuit_breaker_state{client_name}          0 closed, 1 half-open, 2 open or forced open
        <prefix>_circuit_breaker_errors_total{client_name}
        <prefix>_circuit_breaker_rejections_total{client_name}
        <prefix>_circuit_breaker_transitions_total{client_name, from_state, to_state}
        <prefix>_circuit_breaker_probes{client_name}         probes that run now
        <prefix>_circuit_breaker_probes_lost_total{client_name}
        <prefix>_circuit_breaker_store_degraded{namespace}   1: the shared store does not answer
        <prefix>_cache_requests_total{client_name, outcome}  where calls are cached

    What concerns circuits is read when Prometheus asks, so that it is never out of date; ``client_name`` is
    the name of the circuit. Any number of objects with the same registry and prefix share their instruments.
    In the multi-process mode of ``prometheus_client`` only the histogram is complete: the rest needs a
    registry in each process.

    Args:
        buckets: upper bounds of the histogram, in seconds, ascending; ``None``: 5 ms to 30 s.
        registry: where to register; ``None``: ``prometheus_client.REGISTRY``.
        prefix: begins all names; letters, digits and underscores.
        max_clients: names that get a label of their own; >= 1. Those that come later share ``"other"``.

    Raises:
        ConfigurationError: the prefix is no such name or belongs to somebody else's instruments in this
            registry, or it is shared by objects with different ``buckets`` or ``max_clients``.
        ImportError: ``prometheus_client`` is not installed.
    """

    def __init__(
        self,
        buckets: Sequence[float] | None = None,
        registry: CollectorRegistry | None = None,
        prefix: str = "holdfast",
        *,
        max_clients: int = 1000,
    ) -> None:
        if not isinstance(prefix, str) or not _PREFIX.fullmatch(prefix):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(
                f"prefix={prefix!r} is not allowed: letters, digits and underscores, no digit first"
            )
        instruments = _instruments(
            registry,
            prefix,
            BUCKETS if buckets is None else _bounds(buckets),
            validation.count("max_clients", max_clients),
        )
        self._instruments = instruments
        self._observers: dict[tuple[str, str, str, int | str], Callable[[float], None]] = {}

    def watch(self, breakers: CircuitBreakers) -> None:
        """Show the circuits of a registry for as long as it lives; asked twice for the same, once.

        Raises:
            ConfigurationTypeError: ``breakers`` is no ``CircuitBreakers``.
        """
        from cqrs.circuit_breaker import CircuitBreakers

        if not isinstance(breakers, CircuitBreakers):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationTypeError(f"watch takes a CircuitBreakers, not {breakers!r}")
        self._instruments.circuits.watch(breakers)

    def observe(self, client_name: str, method: str, path: str, status: int | str, seconds: float) -> None:
        """Count a call in the histogram.

        Args:
            path: the path template, never the path itself.
            status: of the answer, or a word for what there was instead: ``"timeout"``.
            seconds: how long it took.
        """
        key = (client_name, method, path, status)
        observer = self._observers.get(key)
        if observer is None:
            observer = self._observer(key)
        observer(seconds)

    def cache_counter(self) -> Callable[[str, str], None]:
        """Return what counts a call of a cached client: ``count(client_name, outcome)``.

        Raises:
            ConfigurationError: the name belongs to somebody else's instrument in this registry.
        """
        return self._instruments.cache_counter()

    def _observer(self, key: tuple[str, str, str, int | str]) -> Callable[[float], None]:
        client_name, method, path, status = key
        label = self._instruments.clients(client_name)
        # Kept under the label, not the name: there may be no end of names.
        shared = (label, method, path, status)
        observer = self._observers.get(shared)
        if observer is None:
            observer = self._instruments.latency(label, method, path, str(status))
            self._observers[shared] = observer
        return observer


OTHER = "other"
"""Label of the names beyond the limit."""


class Labels:
    """Gives a label to each name: itself, or ``"other"`` to those that come after the first ``limit``."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._known: set[str] = set()

    def __call__(self, name: str) -> str:
        if name in self._known:
            return name
        if len(self._known) < self.limit:  # a few more, if threads meet here, do no harm
            self._known.add(name)
            return name
        return OTHER


class _Instruments:
    def __init__(
        self, registry: CollectorRegistry, prefix: str, buckets: tuple[float, ...], limit: int
    ) -> None:
        from prometheus_client import Histogram

        from cqrs.http.metrics_collector import CircuitCollector

        self.buckets = buckets
        self.clients = Labels(limit)
        self.circuits: CircuitCollector = CircuitCollector(prefix, Labels(limit))
        histogram = Histogram(
            f"{prefix}_request_latency_seconds",
            "Seconds from the request to the end of the answer, or to the error.",
            ("client_name", "method", "path", "status_code"),
            registry=None,
            buckets=buckets,
        )
        registry.register(histogram)
        try:
            registry.register(self.circuits)
        except ValueError:
            registry.unregister(histogram)
            raise
        self._histogram = histogram
        self._prefix = prefix
        self._registry = weakref.ref(registry)  # it is the key that all this is found by
        self._cached: Counter | None = None

    def cache_counter(self) -> Callable[[str, str], None]:
        from prometheus_client import Counter

        with _lock:
            if self._cached is None:
                try:
                    self._cached = Counter(
                        f"{self._prefix}_cache_requests",
                        "Calls of cached clients, by what the cache could do.",
                        ("client_name", "outcome"),
                        registry=self._registry(),
                    )
                except ValueError as error:
                    raise _taken(self._prefix, error) from error
            counter = self._cached
        return lambda client_name, outcome: counter.labels(self.clients(client_name), outcome).inc()

    def latency(self, *labels: str) -> Callable[[float], None]:
        return self._histogram.labels(*labels).observe


def _bounds(buckets: Sequence[float]) -> tuple[float, ...]:
    try:
        found = tuple(map(float, buckets))
    except (TypeError, ValueError):
        found = (math.nan,)
    if any(map(math.isnan, found)):
        raise ConfigurationTypeError(f"buckets takes upper bounds in seconds, not {buckets!r}")
    return found


_lock = threading.Lock()
_made: weakref.WeakKeyDictionary[CollectorRegistry, dict[str, _Instruments]] = weakref.WeakKeyDictionary()


def _instruments(
    registry: CollectorRegistry | None, prefix: str, buckets: tuple[float, ...], limit: int
) -> _Instruments:
    try:
        import prometheus_client
    except ImportError as error:
        raise ImportError('PrometheusMetrics needs pip install "holdfast[prometheus]"') from error
    if registry is None:
        registry = prometheus_client.REGISTRY
    if not isinstance(registry, prometheus_client.CollectorRegistry):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationTypeError(f"registry must be a CollectorRegistry, not {registry!r}")
    with _lock:
        of_registry = _made.setdefault(registry, {})
        made = of_registry.get(prefix)
        if made is None:
            try:
                made = of_registry[prefix] = _Instruments(registry, prefix, buckets, limit)
            except ValueError as error:
                raise _taken(prefix, error) from error
        elif made.buckets != buckets or made.clients.limit != limit:
            raise ConfigurationError(
                f"prefix {prefix!r} is in use in this registry with buckets={made.buckets} and "
                f"max_clients={made.clients.limit}: give the same, or another prefix"
            )
    return made


def _taken(prefix: str, error: ValueError) -> ConfigurationError:
    return ConfigurationError(f"the instruments of prefix {prefix!r} cannot be made: {error}")
