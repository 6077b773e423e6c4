"""Answers that need not be asked for again (RFC 9111); the rules are those of hishel's state machine.

Needs ``pip install "holdfast[cache]"``.
"""

from __future__ import annotations

import email.utils
import hashlib
import re
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

try:
    import hishel
except ImportError as error:
    raise ImportError('the HTTP cache needs pip install "holdfast[cache]"') from error

from cqrs.circuit_breaker import CircuitOpenError, validation
from cqrs.http.cache_memory import MemoryCache, Stored
from cqrs.http.errors import HTTPError, HTTPTimeoutError
from cqrs.http.flights import Flights, Landing
from cqrs.http.flow import AsyncFlow, Flow, FlowMiddleware, Send, SyncFlow
from cqrs.http.messages import HTTPRequest, HTTPResponse, HTTPTimeout
from cqrs.http.metrics import PrometheusMetrics

_CONDITIONS = ("if-none-match", "if-modified-since")
_OWN_BUSINESS = {"range", "if-match", "if-unmodified-since", "if-range", *_CONDITIONS}
_NOT_KEPT = {"set-cookie", "set-cookie2", "age", "cache-status"}
_MOST_KNOWN = 1024
_SAFE = ("GET", "HEAD", "OPTIONS", "TRACE")


class CacheMiddleware(FlowMiddleware):
    """Stores answers to GET and HEAD and answers from there, as their headers allow.

    Added before a circuit breaker, what comes from the cache is no call for it, and what it rejects can be
    answered from the cache: when there is no answer, or a 5xx, a stored answer that is out of date is used
    as far as ``stale-if-error`` (RFC 5861) of the server or of this object allows, and neither
    ``must-revalidate`` nor ``no-cache`` forbids. Calls for the same URL at the same time become one. A call
    with a method that changes things removes what is stored for its URL.

    An answer from the cache has a ``Cache-Status`` header (RFC 9211): ``holdfast; hit``, with
    ``detail=revalidated`` or ``detail=stale-if-error``; and an ``Age``, unless it was confirmed just now.

    Answers are not shared between clients. With ``shared=True`` an answer to a request with an
    ``Authorization`` header is stored only if the server allows it; with ``shared=False`` each value of that
    header has a cache of its own. Middleware that authorises must therefore come before this one if it acts
    for more than one user. Requests with conditions, ranges or ``no-store`` of their own pass by.

    Args:
        storage: where answers are kept; ``None``: 1000 answers, 64 MiB, in memory.
        shared: whether what is stored serves all users alike.
        stale_if_error: seconds for which an answer may be used after it has expired, when there is no other;
            what the server says goes before; >= 0.
        metrics: counts calls in ``<prefix>_cache_requests_total`` by client and outcome: ``hit``, ``miss``,
            ``revalidated``, ``stale``.
        clock: monotonic seconds. Ages go by ``time.time``.

    Raises:
        ConfigurationError: an argument is out of range.
    """

    def __init__(
        self,
        storage: MemoryCache | None = None,
        *,
        shared: bool = True,
        stale_if_error: float = 0.0,
        metrics: PrometheusMetrics | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.storage = MemoryCache() if storage is None else storage
        self._shared = shared
        self._options = hishel.CacheOptions(shared=shared, allow_stale=False)
        self._stale_options = hishel.CacheOptions(shared=shared, allow_stale=True)
        self._stale_if_error = validation.seconds("stale_if_error", stale_if_error, strict=False)
        self._count = None if metrics is None else metrics.cache_counter()
        self._clock = clock
        self._flights = Flights()
        self._alone: OrderedDict[str, None] = OrderedDict()  # URLs whose answers were good for one call only
        self._changes = 0
        self._changed: OrderedDict[str, int] = OrderedDict()

    def flow(self, request: HTTPRequest, client_name: str, path: str, timeout: HTTPTimeout) -> Flow:
        if request.method not in ("GET", "HEAD"):
            return (yield from self._other(request, client_name, timeout))
        headers = {name.lower(): value for name, value in request.wire_headers.items()}
        asks = directives(headers.get("cache-control", ""))
        if "no-store" in asks or not _OWN_BUSINESS.isdisjoint(headers):
            response: HTTPResponse = yield Send(request, timeout)
            return response
        if asks.get("max-age") == "0":
            headers["cache-control"] = "no-cache"  # for the rules it is the same
        look = _Look(self._key(request, client_name, headers), request, headers, client_name)
        end = self._clock() + timeout.limit
        while True:
            state = self._state(look)
            if isinstance(state, hishel.FromCache):
                return self._hit(look, state, "hit")
            if look.key in self._alone:
                return (yield from self._forward(look, state, timeout))
            flight, mine = self._flights.join((look.key, request.method))
            if mine:
                break
            if not (yield Landing(flight, max(0.0, end - self._clock()))):
                raise HTTPTimeoutError("another call for the same URL took too long", request)
            if not flight.abandoned:
                state = self._state(look)
                if isinstance(state, hishel.FromCache):
                    return self._hit(look, state, "hit")
                return (yield from self._forward(look, state, timeout.within(self._left(end))))
        try:
            return (yield from self._forward(look, state, timeout.within(self._left(end))))
        except Exception:
            raise
        except BaseException:
            flight.abandoned = True
            raise
        finally:
            self._flights.end((look.key, request.method))

    # ------------------------------------------------------------------ asking the server

    def _forward(self, look: _Look, state: hishel.AnyState, timeout: HTTPTimeout) -> Flow:
        """Send the request, with conditions if there is something to confirm, and do as the rules say."""
        since = self._changes
        end = self._clock() + timeout.limit
        while True:
            assert isinstance(state, (hishel.CacheMiss, hishel.NeedRevalidation))
            wanted = state.request.headers
            conditions = {name: wanted[name] for name in _CONDITIONS if name in wanted}
            request = look.request.with_headers(conditions) if conditions else look.request
            try:
                response: HTTPResponse = yield Send(request, timeout.within(self._left(end)))
            except Exception as error:
                if isinstance(error, HTTPError) and error.status_code == 304 and conditions:
                    response = error.response
                elif _is_failure(error) and (stale := self._stale(look)) is not None:
                    return stale
                else:
                    raise
            if response.status_code >= 500 and (stale := self._stale(look)) is not None:
                return stale
            state = self._settled(look, state.next(_internal(response)))
            if isinstance(state, hishel.FromCache):
                return self._hit(look, state, "revalidated")
            if isinstance(state, hishel.CacheMiss):
                continue  # what was confirmed is not what we have
            self._note(look.client_name, "miss")
            if isinstance(state, hishel.StoreAndUse):
                self._store(look, state.response, response, since)
            if isinstance(self._state(look), hishel.FromCache):
                self._alone.pop(look.key, None)
            elif response.status_code < 500:
                _remember(self._alone, look.key, None)
            return response

    def _settled(self, look: _Look, state: hishel.AnyState) -> hishel.AnyState:
        """Do what the rules want done to stored answers, until they want something else."""
        while True:
            if isinstance(state, hishel.InvalidateEntries):
                self.storage.remove(look.key, state.entry_ids)
            elif isinstance(state, hishel.NeedToBeUpdated):
                for entry in state.updating_entries:
                    self.storage.update(look.key, entry.id, entry.response.headers)
            else:
                return state
            state = state.next()

    def _store(self, look: _Look, cleaned: hishel.Response, response: HTTPResponse, since: int) -> None:
        if self._changed.get(look.key, 0) > since:
            return  # it may be what was there before the change
        names = {name.strip().lower() for name in cleaned.headers.get("vary", "").split(",")}
        # Only what the rules will look at: no credentials, unless the answer depends on them.
        headers = hishel.Headers({name: value for name, value in look.headers.items() if name in names})
        asked = hishel.Request(look.asked.method, look.key, headers)
        content = response.content or response.json_bytes
        self.storage.put(look.key, Stored(hishel.Entry(uuid.uuid4(), asked, cleaned), content))

    def _other(self, request: HTTPRequest, client_name: str, timeout: HTTPTimeout) -> Flow:
        response: HTTPResponse = yield Send(request, timeout)
        if request.method not in _SAFE and response.status_code < 400:
            headers = {name.lower(): value for name, value in request.wire_headers.items()}
            key = self._key(request, client_name, headers)
            self._changes += 1
            _remember(self._changed, key, self._changes)
            self.storage.remove(key)
        return response

    # ------------------------------------------------------------------ what is stored

    def _key(self, request: HTTPRequest, client_name: str, headers: Mapping[str, str]) -> str:
        who = "" if self._shared else headers.get("authorization", "")
        return hashlib.sha256("\n".join((client_name, request.url, who)).encode()).hexdigest()

    def _state(self, look: _Look) -> hishel.AnyState:
        look.stored = self.storage.get(look.key)
        return hishel.IdleClient(self._options).next(look.asked, [one.entry for one in look.stored])

    def _stale(self, look: _Look) -> HTTPResponse | None:
        """Return an answer that is out of date, if it may be used for want of another."""
        stored = self.storage.get(look.key) or look.stored
        state = hishel.IdleClient(self._stale_options).next(look.asked, [one.entry for one in stored])
        if not isinstance(state, hishel.FromCache):
            return None
        headers = state.entry.response.headers
        said = directives(headers.get("cache-control", ""))
        if self._shared and ("proxy-revalidate" in said or "s-maxage" in said):
            return None  # RFC 9111, 4.2.4
        allowed = _number(said.get("stale-if-error"))
        beyond = int(headers["age"]) - _lifetime(headers, said)
        if beyond > (self._stale_if_error if allowed is None else allowed):
            return None
        look.stored = stored
        return self._hit(look, state, "stale")

    def _hit(self, look: _Look, state: hishel.FromCache, outcome: str) -> HTTPResponse:
        entry = state.entry
        content = next((one.content for one in look.stored if one.entry.id == entry.id), b"")
        headers = dict(entry.response.headers)
        detail = {"hit": "", "stale": "; detail=stale-if-error"}.get(outcome, f"; detail={outcome}")
        headers["cache-status"] = f"holdfast; hit{detail}"
        self._note(look.client_name, outcome)
        return HTTPResponse(entry.response.status_code, headers, content=content)

    def _note(self, client_name: str, outcome: str) -> None:
        if self._count is not None:
            self._count(client_name, outcome)

    def _left(self, end: float) -> float:
        return max(end - self._clock(), 0.001)


class AsyncCacheMiddleware(AsyncFlow, CacheMiddleware):
    __doc__ = CacheMiddleware.__doc__


class SyncCacheMiddleware(SyncFlow, CacheMiddleware):
    __doc__ = CacheMiddleware.__doc__


class _Look:
    """A request, and what is stored for it."""

    __slots__ = ("asked", "client_name", "headers", "key", "request", "stored")

    def __init__(self, key: str, request: HTTPRequest, headers: Mapping[str, str], client_name: str) -> None:
        self.key = key
        self.request = request
        self.headers = headers
        self.client_name = client_name
        # The key stands for the URL, which may hold secrets and would be kept.
        self.asked = hishel.Request(request.method, key, hishel.Headers(dict(headers)))
        self.stored: list[Stored] = []


_DIRECTIVE = re.compile(r"""([A-Za-z0-9_-]+)(?:\s*=\s*(?:"([^"]*)"|([^\s,]*)))?""")


def directives(header: str) -> dict[str, str]:
    """Return the directives of a ``Cache-Control`` header with their arguments, ``""`` for none.

    >>> directives('max-age=60, No-Cache="x, y", public')
    {'max-age': '60', 'no-cache': 'x, y', 'public': ''}
    """
    return {name.lower(): quoted or plain for name, quoted, plain in _DIRECTIVE.findall(header)}


def _number(said: str | None) -> int | None:
    """Return a number of seconds; a very large one as 2 ** 31 (RFC 9111, 1.2.2)."""
    if said is None or not said.isdecimal():
        return None
    return int(said) if len(said) < 10 else 2**31


def _lifetime(headers: Mapping[str, str], said: Mapping[str, str]) -> float:
    """Return for how many seconds an answer is fresh; without a word of the server's not at all."""
    seconds = _number(said.get("max-age"))
    if seconds is None and "expires" in headers:
        expires, date = _moment(headers["expires"]), _moment(headers.get("date", ""))
        return 0 if expires is None or date is None else max(0, expires - date)
    return seconds or 0


def _moment(date: str) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return None


def _internal(response: HTTPResponse) -> hishel.Response:
    """Return an answer as the rules see it, with a ``Date`` that tells its age.

    They go by that alone: without one they would take it for new for ever, and they do not heed an ``Age``.
    """
    headers = {name: value for name, value in response.headers.items() if name not in _NOT_KEPT}
    now = time.time()
    date = _moment(headers.get("date", ""))
    age = _number(response.headers.get("age", "").strip()) or 0
    if date is None or now - date < age:
        headers["date"] = email.utils.formatdate(max(0.0, now - age), usegmt=True)
    return hishel.Response(response.status_code, hishel.Headers(dict(headers)))


def _is_failure(error: Exception) -> bool:
    """Whether the server failed, or a circuit breaker did not let us ask it."""
    if isinstance(error, HTTPError):
        return error.is_server_error
    return isinstance(error, (TimeoutError, ConnectionError, CircuitOpenError))


def _remember(known: OrderedDict[str, Any], key: str, value: Any) -> None:
    known[key] = value
    known.move_to_end(key)
    while len(known) > _MOST_KNOWN:
        known.popitem(last=False)
