"""Clients and their resources: what the code of a service calls.

The asynchronous and the synchronous classes differ in how they wait and in nothing else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Generic, NamedTuple, TypeVar, cast

from cqrs.circuit_breaker import CircuitOpenError
from cqrs.http.collections import CollectionIterator
from cqrs.http.core import Calls, Params
from cqrs.http.errors import (
    DiscoveryError,
    HTTPClientError,
    HTTPClosedError,
    HTTPDeadlineError,
    HTTPPoolTimeoutError,
    HTTPUnavailableError,
)
from cqrs.http.messages import HTTPTimeout, TimeoutLike
from cqrs.http.models import Response, build
from cqrs.http.results import ResponseBox, Result
from cqrs.http.typing import AsyncHandle, SyncHandle

T = TypeVar("T")
E = TypeVar("E")
ResponseT = TypeVar("ResponseT", bound=Response)

_ANSWERED = (HTTPClientError, CircuitOpenError)
"""What ``errors_as_results`` makes a result of."""

_NOT_ITS_FAULT = (DiscoveryError, HTTPClosedError, HTTPDeadlineError, HTTPPoolTimeoutError)
"""What keeps an instance from answering and says nothing of it."""


class Setting(NamedTuple):
    """What all calls of a client have in common.

    Attributes:
        service, version: for the discovery.
        endpoint: the discovery's ``get_endpoint``.
        known: the discovery's ``known``, which answers at once or returns ``None``.
        told_failed: the discovery's ``failed``: there was no answer from a URL.
        handle: the stack of middleware with the transport inside.
        timeout: of calls that give none.
    """

    service: str
    version: str | None
    endpoint: Callable[[str, str | None], Any]
    known: Callable[[str, str | None], str | None]
    told_failed: Callable[[str, str | None, str], object]
    handle: Callable[..., Any]
    timeout: HTTPTimeout


class _Client(Generic[E]):
    """A client: ``client.<resource>.get(...)``. Made by a factory."""

    def __init__(self, calls: Calls[E], setting: Setting) -> None:
        self._calls = calls
        self._setting = setting

    @property
    def name(self) -> str:
        """Name that it is registered under."""
        return self._calls.client_name

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._calls.resources})

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._calls.client_name!r}: {', '.join(self._calls.resources)}>"


class AsyncClient(_Client[E]):
    __doc__ = _Client.__doc__

    def __getattr__(self, name: str) -> AsyncResource[Any, E]:
        if name.startswith("_"):
            raise AttributeError(name)
        made: AsyncResource[Any, E] = AsyncResource(self._calls, self._setting, self._calls.check(name), None)
        vars(self)[name] = made
        return made

    def resource(self, model: type[ResponseT], name: str | None = None) -> AsyncResource[ResponseT, E]:
        """Return the resource that answers with ``model``, in a form whose calls a type checker knows.

        Args:
            model: model of the answers, as in the contracts.
            name: name of the resource, needed when several answer with the same model.

        Raises:
            UnregisteredResourceError: there is none, or there are several.
        """
        return AsyncResource(self._calls, self._setting, self._calls.answering(model, name), model)


class SyncClient(_Client[E]):
    __doc__ = _Client.__doc__

    def __getattr__(self, name: str) -> SyncResource[Any, E]:
        if name.startswith("_"):
            raise AttributeError(name)
        made: SyncResource[Any, E] = SyncResource(self._calls, self._setting, self._calls.check(name), None)
        vars(self)[name] = made
        return made

    def resource(self, model: type[ResponseT], name: str | None = None) -> SyncResource[ResponseT, E]:
        """Return the resource that answers with ``model``; see ``AsyncClient.resource``."""
        return SyncResource(self._calls, self._setting, self._calls.answering(model, name), model)


class _Resource(Generic[T, E]):
    """A resource of a client: a method per verb, each for one (``get``) and for all (``collection_get``).

    Args of every method: the parameters, as an instance of the contract's model or as its values by name; and
    a timeout, else the factory's. A good answer is ``Ok``, an error status is ``Err``. Raised are: whatever
    ``cqrs.http.errors`` says but ``HTTPError``, and ``CircuitOpenError``.
    """

    def __init__(self, calls: Calls[E], setting: Setting, name: str, model: type[Response] | None) -> None:
        self._calls = calls
        self._setting = setting
        self._name = name
        self._model = model

    def _call(self, verb: str, many: bool) -> Any:
        call = self._calls.of(self._name, verb, many)
        if self._model is not None:
            self._calls.returns(call, self._model)
        return call


class AsyncResource(_Resource[T, E]):
    __doc__ = _Resource.__doc__

    async def _request(self, verb: str, many: bool, given: Params, timeout: TimeoutLike | None) -> Any:
        calls, setting = self._calls, self._setting
        call = self._call(verb, many)
        limit = setting.timeout if timeout is None else HTTPTimeout.of(timeout)
        base = ""
        try:
            params = call.params(given)
            found = setting.known(setting.service, setting.version)
            base = found or await setting.endpoint(setting.service, setting.version)
            request = build(params, verb, base + call.endpoint.path)
            handle: AsyncHandle = setting.handle
            response = await handle(request, call.client_name, call.endpoint.path, limit)
            return call.conclude(request, response, calls.parse_error)
        except _ANSWERED as error:
            if isinstance(error, HTTPUnavailableError) and not isinstance(error, _NOT_ITS_FAULT):
                setting.told_failed(setting.service, setting.version, base)
            if not calls.makes_result_of(error):
                raise
            return calls.failed(error)  # kept in no variable: the error's traceback has this frame

    def get(self, params: Params = None, timeout: TimeoutLike | None = None) -> Awaitable[ResponseBox[T, E]]:
        """``GET`` one."""
        return self._request("GET", False, params, timeout)

    def post(self, params: Params = None, timeout: TimeoutLike | None = None) -> Awaitable[ResponseBox[T, E]]:
        """``POST`` to one."""
        return self._request("POST", False, params, timeout)

    def put(self, params: Params = None, timeout: TimeoutLike | None = None) -> Awaitable[ResponseBox[T, E]]:
        """``PUT`` one."""
        return self._request("PUT", False, params, timeout)

    def patch(
        self, params: Params = None, timeout: TimeoutLike | None = None
    ) -> Awaitable[ResponseBox[T, E]]:
        """``PATCH`` one."""
        return self._request("PATCH", False, params, timeout)

    def delete(
        self, params: Params = None, timeout: TimeoutLike | None = None
    ) -> Awaitable[ResponseBox[T, E]]:
        """``DELETE`` one."""
        return self._request("DELETE", False, params, timeout)

    def head(self, params: Params = None, timeout: TimeoutLike | None = None) -> Awaitable[ResponseBox[T, E]]:
        """``HEAD`` of one."""
        return self._request("HEAD", False, params, timeout)

    def options(
        self, params: Params = None, timeout: TimeoutLike | None = None
    ) -> Awaitable[ResponseBox[T, E]]:
        """``OPTIONS`` of one."""
        return self._request("OPTIONS", False, params, timeout)

    def collection_get(
        self, params: Params = None, timeout: TimeoutLike | None = None
    ) -> Awaitable[Result[CollectionIterator[T], E]]:
        """``GET`` all, or those that the parameters ask for."""
        return self._request("GET", True, params, timeout)

    def collection_post(
        self, params: Params = None, timeout: TimeoutLike | None = None
    ) -> Awaitable[ResponseBox[T, E]]:
        """``POST`` to the collection."""
        return self._request("POST", True, params, timeout)

    def collection_put(
        self, params: Params = None, timeout: TimeoutLike | None = None
    ) -> Awaitable[ResponseBox[T, E]]:
        """``PUT`` the collection."""
        return self._request("PUT", True, params, timeout)

    def collection_patch(
        self, params: Params = None, timeout: TimeoutLike | None = None
    ) -> Awaitable[ResponseBox[T, E]]:
        """``PATCH`` the collection."""
        return self._request("PATCH", True, params, timeout)

    def collection_delete(
        self, params: Params = None, timeout: TimeoutLike | None = None
    ) -> Awaitable[ResponseBox[T, E]]:
        """``DELETE`` the collection."""
        return self._request("DELETE", True, params, timeout)

    def collection_head(
        self, params: Params = None, timeout: TimeoutLike | None = None
    ) -> Awaitable[ResponseBox[T, E]]:
        """``HEAD`` of the collection."""
        return self._request("HEAD", True, params, timeout)

    def collection_options(
        self, params: Params = None, timeout: TimeoutLike | None = None
    ) -> Awaitable[ResponseBox[T, E]]:
        """``OPTIONS`` of the collection."""
        return self._request("OPTIONS", True, params, timeout)


class SyncResource(_Resource[T, E]):
    __doc__ = _Resource.__doc__

    def _request(
        self, verb: str, many: bool, given: Params, timeout: TimeoutLike | None
    ) -> ResponseBox[T, E]:
        calls, setting = self._calls, self._setting
        call = self._call(verb, many)
        limit = setting.timeout if timeout is None else HTTPTimeout.of(timeout)
        base = ""
        try:
            params = call.params(given)
            found = setting.known(setting.service, setting.version)
            base = found or setting.endpoint(setting.service, setting.version)
            request = build(params, verb, base + call.endpoint.path)
            handle: SyncHandle = setting.handle
            response = handle(request, call.client_name, call.endpoint.path, limit)
            done: ResponseBox[T, E] = call.conclude(request, response, calls.parse_error)
            return done
        except _ANSWERED as error:
            if isinstance(error, HTTPUnavailableError) and not isinstance(error, _NOT_ITS_FAULT):
                setting.told_failed(setting.service, setting.version, base)
            if not calls.makes_result_of(error):
                raise
            return calls.failed(error)  # kept in no variable: the error's traceback has this frame

    def get(self, params: Params = None, timeout: TimeoutLike | None = None) -> ResponseBox[T, E]:
        """``GET`` one."""
        return self._request("GET", False, params, timeout)

    def post(self, params: Params = None, timeout: TimeoutLike | None = None) -> ResponseBox[T, E]:
        """``POST`` to one."""
        return self._request("POST", False, params, timeout)

    def put(self, params: Params = None, timeout: TimeoutLike | None = None) -> ResponseBox[T, E]:
        """``PUT`` one."""
        return self._request("PUT", False, params, timeout)

    def patch(self, params: Params = None, timeout: TimeoutLike | None = None) -> ResponseBox[T, E]:
        """``PATCH`` one."""
        return self._request("PATCH", False, params, timeout)

    def delete(self, params: Params = None, timeout: TimeoutLike | None = None) -> ResponseBox[T, E]:
        """``DELETE`` one."""
        return self._request("DELETE", False, params, timeout)

    def head(self, params: Params = None, timeout: TimeoutLike | None = None) -> ResponseBox[T, E]:
        """``HEAD`` of one."""
        return self._request("HEAD", False, params, timeout)

    def options(self, params: Params = None, timeout: TimeoutLike | None = None) -> ResponseBox[T, E]:
        """``OPTIONS`` of one."""
        return self._request("OPTIONS", False, params, timeout)

    def collection_get(
        self, params: Params = None, timeout: TimeoutLike | None = None
    ) -> Result[CollectionIterator[T], E]:
        """``GET`` all, or those that the parameters ask for."""
        return cast("Result[CollectionIterator[T], E]", self._request("GET", True, params, timeout))

    def collection_post(self, params: Params = None, timeout: TimeoutLike | None = None) -> ResponseBox[T, E]:
        """``POST`` to the collection."""
        return self._request("POST", True, params, timeout)

    def collection_put(self, params: Params = None, timeout: TimeoutLike | None = None) -> ResponseBox[T, E]:
        """``PUT`` the collection."""
        return self._request("PUT", True, params, timeout)

    def collection_patch(
        self, params: Params = None, timeout: TimeoutLike | None = None
    ) -> ResponseBox[T, E]:
        """``PATCH`` the collection."""
        return self._request("PATCH", True, params, timeout)

    def collection_delete(
        self, params: Params = None, timeout: TimeoutLike | None = None
    ) -> ResponseBox[T, E]:
        """``DELETE`` the collection."""
        return self._request("DELETE", True, params, timeout)

    def collection_head(self, params: Params = None, timeout: TimeoutLike | None = None) -> ResponseBox[T, E]:
        """``HEAD`` of the collection."""
        return self._request("HEAD", True, params, timeout)

    def collection_options(
        self, params: Params = None, timeout: TimeoutLike | None = None
    ) -> ResponseBox[T, E]:
        """``OPTIONS`` of the collection."""
        return self._request("OPTIONS", True, params, timeout)
