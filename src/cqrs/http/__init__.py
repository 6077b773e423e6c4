"""Service clients: typed HTTP clients of other services behind a stack of middleware.

Names are imported from their modules when they are first used; what needs an extra says which.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cqrs._lazy import lazy_exports

if TYPE_CHECKING:
    from cqrs.circuit_breaker.errors import CircuitOpenError as CircuitOpenError
    from cqrs.circuit_breaker.errors import CircuitOpenError as OpenedState
    from cqrs.circuit_breaker.redis.unit_of_work import AsyncRedisUnitOfWork as AsyncRedisUnitOfWork
    from cqrs.circuit_breaker.redis.unit_of_work import SyncRedisUnitOfWork as SyncRedisUnitOfWork
    from cqrs.http.client import AsyncClient as AsyncClient
    from cqrs.http.client import AsyncResource as AsyncResource
    from cqrs.http.client import SyncClient as SyncClient
    from cqrs.http.client import SyncResource as SyncResource
    from cqrs.http.collections import CollectionIterator as CollectionIterator
    from cqrs.http.collections import CollectionParser as CollectionParser
    from cqrs.http.collections import Metadata as Metadata
    from cqrs.http.discovery.static import AsyncStaticDiscovery as AsyncStaticDiscovery
    from cqrs.http.discovery.static import SyncStaticDiscovery as SyncStaticDiscovery
    from cqrs.http.errors import ContractError as ContractError
    from cqrs.http.errors import DiscoveryError as DiscoveryError
    from cqrs.http.errors import HTTPClientError as HTTPClientError
    from cqrs.http.errors import HTTPConnectionError as HTTPConnectionError
    from cqrs.http.errors import HTTPError as HTTPError
    from cqrs.http.errors import HTTPRequestError as HTTPRequestError
    from cqrs.http.errors import HTTPResponseError as HTTPResponseError
    from cqrs.http.errors import HTTPTimeoutError as HTTPTimeoutError
    from cqrs.http.errors import HTTPUnavailableError as HTTPUnavailableError
    from cqrs.http.errors import UnregisteredClientError as UnregisteredClientError
    from cqrs.http.errors import UnregisteredResourceError as UnregisteredResourceError
    from cqrs.http.errors import UnregisteredVerbError as UnregisteredVerbError
    from cqrs.http.errors import WrongRequestModelError as WrongRequestModelError
    from cqrs.http.factory import AsyncClientFactory as AsyncClientFactory
    from cqrs.http.factory import SyncClientFactory as SyncClientFactory
    from cqrs.http.fields import AttachmentField as AttachmentField
    from cqrs.http.fields import HeaderField as HeaderField
    from cqrs.http.fields import PathInfoField as PathInfoField
    from cqrs.http.fields import PostBodyField as PostBodyField
    from cqrs.http.fields import QueryStringField as QueryStringField
    from cqrs.http.messages import HTTPRequest as HTTPRequest
    from cqrs.http.messages import HTTPResponse as HTTPResponse
    from cqrs.http.messages import HTTPTimeout as HTTPTimeout
    from cqrs.http.middleware.circuit_breaker import (
        AsyncCircuitBreakerMiddleware as AsyncCircuitBreakerMiddleware,
    )
    from cqrs.http.middleware.circuit_breaker import (
        SyncCircuitBreakerMiddleware as SyncCircuitBreakerMiddleware,
    )
    from cqrs.http.models import Request as Request
    from cqrs.http.models import Response as Response
    from cqrs.http.outcomes import Outcomes as Outcomes
    from cqrs.http.registry import Registry as Registry
    from cqrs.http.registry import register as register
    from cqrs.http.registry import scan as scan
    from cqrs.http.results import Err as Err
    from cqrs.http.results import Ok as Ok
    from cqrs.http.results import ResponseBox as ResponseBox
    from cqrs.http.results import Result as Result
    from cqrs.http.results import ResultError as ResultError
    from cqrs.http.typing import AsyncDiscovery as AsyncDiscovery
    from cqrs.http.typing import AsyncHTTPMiddleware as AsyncHTTPMiddleware
    from cqrs.http.typing import AsyncTransport as AsyncTransport
    from cqrs.http.typing import SyncDiscovery as SyncDiscovery
    from cqrs.http.typing import SyncHTTPMiddleware as SyncHTTPMiddleware
    from cqrs.http.typing import SyncTransport as SyncTransport

_TABLE = {
    "AsyncCircuitBreakerMiddleware": "cqrs.http.middleware.circuit_breaker",
    "AsyncClient": "cqrs.http.client",
    "AsyncClientFactory": "cqrs.http.factory",
    "AsyncDiscovery": "cqrs.http.typing",
    "AsyncHTTPMiddleware": "cqrs.http.typing",
    "AsyncRedisUnitOfWork": "cqrs.circuit_breaker.redis.unit_of_work",
    "AsyncResource": "cqrs.http.client",
    "AsyncStaticDiscovery": "cqrs.http.discovery.static",
    "AsyncTransport": "cqrs.http.typing",
    "AttachmentField": "cqrs.http.fields",
    "CircuitOpenError": "cqrs.circuit_breaker.errors",
    "CollectionIterator": "cqrs.http.collections",
    "CollectionParser": "cqrs.http.collections",
    "ContractError": "cqrs.http.errors",
    "DiscoveryError": "cqrs.http.errors",
    "Err": "cqrs.http.results",
    "HTTPClientError": "cqrs.http.errors",
    "HTTPConnectionError": "cqrs.http.errors",
    "HTTPError": "cqrs.http.errors",
    "HTTPRequest": "cqrs.http.messages",
    "HTTPRequestError": "cqrs.http.errors",
    "HTTPResponse": "cqrs.http.messages",
    "HTTPResponseError": "cqrs.http.errors",
    "HTTPTimeout": "cqrs.http.messages",
    "HTTPTimeoutError": "cqrs.http.errors",
    "HTTPUnavailableError": "cqrs.http.errors",
    "HeaderField": "cqrs.http.fields",
    "Metadata": "cqrs.http.collections",
    "Ok": "cqrs.http.results",
    "Outcomes": "cqrs.http.outcomes",
    "PathInfoField": "cqrs.http.fields",
    "PostBodyField": "cqrs.http.fields",
    "QueryStringField": "cqrs.http.fields",
    "Registry": "cqrs.http.registry",
    "Request": "cqrs.http.models",
    "Response": "cqrs.http.models",
    "ResponseBox": "cqrs.http.results",
    "Result": "cqrs.http.results",
    "ResultError": "cqrs.http.results",
    "SyncCircuitBreakerMiddleware": "cqrs.http.middleware.circuit_breaker",
    "SyncClient": "cqrs.http.client",
    "SyncClientFactory": "cqrs.http.factory",
    "SyncDiscovery": "cqrs.http.typing",
    "SyncHTTPMiddleware": "cqrs.http.typing",
    "SyncRedisUnitOfWork": "cqrs.circuit_breaker.redis.unit_of_work",
    "SyncResource": "cqrs.http.client",
    "SyncStaticDiscovery": "cqrs.http.discovery.static",
    "SyncTransport": "cqrs.http.typing",
    "UnregisteredClientError": "cqrs.http.errors",
    "UnregisteredResourceError": "cqrs.http.errors",
    "UnregisteredVerbError": "cqrs.http.errors",
    "WrongRequestModelError": "cqrs.http.errors",
    "register": "cqrs.http.registry",
    "scan": "cqrs.http.registry",
}

_lazy, __dir__ = lazy_exports(__name__, _TABLE)


def __getattr__(name: str) -> object:
    # The name that a rejection has in documents of older clients; the class is the same.
    return _lazy("CircuitOpenError" if name == "OpenedState" else name)


__all__ = [
    "AsyncCircuitBreakerMiddleware",
    "AsyncClient",
    "AsyncClientFactory",
    "AsyncDiscovery",
    "AsyncHTTPMiddleware",
    "AsyncRedisUnitOfWork",
    "AsyncResource",
    "AsyncStaticDiscovery",
    "AsyncTransport",
    "AttachmentField",
    "CircuitOpenError",
    "CollectionIterator",
    "CollectionParser",
    "ContractError",
    "DiscoveryError",
    "Err",
    "HTTPClientError",
    "HTTPConnectionError",
    "HTTPError",
    "HTTPRequest",
    "HTTPRequestError",
    "HTTPResponse",
    "HTTPResponseError",
    "HTTPTimeout",
    "HTTPTimeoutError",
    "HTTPUnavailableError",
    "HeaderField",
    "Metadata",
    "Ok",
    "OpenedState",
    "Outcomes",
    "PathInfoField",
    "PostBodyField",
    "QueryStringField",
    "Registry",
    "Request",
    "Response",
    "ResponseBox",
    "Result",
    "ResultError",
    "SyncCircuitBreakerMiddleware",
    "SyncClient",
    "SyncClientFactory",
    "SyncDiscovery",
    "SyncHTTPMiddleware",
    "SyncRedisUnitOfWork",
    "SyncResource",
    "SyncStaticDiscovery",
    "SyncTransport",
    "UnregisteredClientError",
    "UnregisteredResourceError",
    "UnregisteredVerbError",
    "WrongRequestModelError",
    "register",
    "scan",
]
