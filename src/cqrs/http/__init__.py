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
    from cqrs.http.cache_memory import MemoryCache as MemoryCache
    from cqrs.http.client import AsyncClient as AsyncClient
    from cqrs.http.client import AsyncResource as AsyncResource
    from cqrs.http.client import SyncClient as SyncClient
    from cqrs.http.client import SyncResource as SyncResource
    from cqrs.http.collections import CollectionIterator as CollectionIterator
    from cqrs.http.collections import CollectionParser as CollectionParser
    from cqrs.http.collections import Metadata as Metadata
    from cqrs.http.discovery.consul import AsyncConsulDiscovery as AsyncConsulDiscovery
    from cqrs.http.discovery.consul import SyncConsulDiscovery as SyncConsulDiscovery
    from cqrs.http.discovery.nomad import AsyncNomadDiscovery as AsyncNomadDiscovery
    from cqrs.http.discovery.nomad import SyncNomadDiscovery as SyncNomadDiscovery
    from cqrs.http.discovery.nomad_service import AsyncNomadServiceDiscovery as AsyncNomadServiceDiscovery
    from cqrs.http.discovery.nomad_service import SyncNomadServiceDiscovery as SyncNomadServiceDiscovery
    from cqrs.http.discovery.router import AsyncRouterDiscovery as AsyncRouterDiscovery
    from cqrs.http.discovery.router import SyncRouterDiscovery as SyncRouterDiscovery
    from cqrs.http.discovery.static import AsyncStaticDiscovery as AsyncStaticDiscovery
    from cqrs.http.discovery.static import SyncStaticDiscovery as SyncStaticDiscovery
    from cqrs.http.errors import ContractError as ContractError
    from cqrs.http.errors import DiscoveryError as DiscoveryError
    from cqrs.http.errors import HTTPClientError as HTTPClientError
    from cqrs.http.errors import HTTPClosedError as HTTPClosedError
    from cqrs.http.errors import HTTPConnectionError as HTTPConnectionError
    from cqrs.http.errors import HTTPDeadlineError as HTTPDeadlineError
    from cqrs.http.errors import HTTPError as HTTPError
    from cqrs.http.errors import HTTPPoolTimeoutError as HTTPPoolTimeoutError
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
    from cqrs.http.guarded.httpx import AsyncCircuitBreakerTransport as AsyncCircuitBreakerTransport
    from cqrs.http.guarded.httpx import SyncCircuitBreakerTransport as SyncCircuitBreakerTransport
    from cqrs.http.messages import HTTPRequest as HTTPRequest
    from cqrs.http.messages import HTTPResponse as HTTPResponse
    from cqrs.http.messages import HTTPTimeout as HTTPTimeout
    from cqrs.http.metrics import PrometheusMetrics as PrometheusMetrics
    from cqrs.http.middleware.authorization import (
        AsyncHTTPAuthorizationMiddleware as AsyncHTTPAuthorizationMiddleware,
    )
    from cqrs.http.middleware.authorization import AsyncHTTPBasicMiddleware as AsyncHTTPBasicMiddleware
    from cqrs.http.middleware.authorization import AsyncHTTPBearerMiddleware as AsyncHTTPBearerMiddleware
    from cqrs.http.middleware.authorization import (
        SyncHTTPAuthorizationMiddleware as SyncHTTPAuthorizationMiddleware,
    )
    from cqrs.http.middleware.authorization import SyncHTTPBasicMiddleware as SyncHTTPBasicMiddleware
    from cqrs.http.middleware.authorization import SyncHTTPBearerMiddleware as SyncHTTPBearerMiddleware
    from cqrs.http.middleware.cache import AsyncCacheMiddleware as AsyncCacheMiddleware
    from cqrs.http.middleware.cache import SyncCacheMiddleware as SyncCacheMiddleware
    from cqrs.http.middleware.circuit_breaker import (
        AsyncCircuitBreakerMiddleware as AsyncCircuitBreakerMiddleware,
    )
    from cqrs.http.middleware.circuit_breaker import (
        SyncCircuitBreakerMiddleware as SyncCircuitBreakerMiddleware,
    )
    from cqrs.http.middleware.deadline import AsyncDeadlineMiddleware as AsyncDeadlineMiddleware
    from cqrs.http.middleware.deadline import SyncDeadlineMiddleware as SyncDeadlineMiddleware
    from cqrs.http.middleware.headers import AsyncHTTPAddHeadersMiddleware as AsyncHTTPAddHeadersMiddleware
    from cqrs.http.middleware.headers import SyncHTTPAddHeadersMiddleware as SyncHTTPAddHeadersMiddleware
    from cqrs.http.middleware.logging import AsyncLoggingMiddleware as AsyncLoggingMiddleware
    from cqrs.http.middleware.logging import SyncLoggingMiddleware as SyncLoggingMiddleware
    from cqrs.http.middleware.oauth2 import (
        AsyncOAuth2RefreshTokenMiddleware as AsyncOAuth2RefreshTokenMiddleware,
    )
    from cqrs.http.middleware.oauth2 import (
        SyncOAuth2RefreshTokenMiddleware as SyncOAuth2RefreshTokenMiddleware,
    )
    from cqrs.http.middleware.prometheus import AsyncPrometheusMiddleware as AsyncPrometheusMiddleware
    from cqrs.http.middleware.prometheus import SyncPrometheusMiddleware as SyncPrometheusMiddleware
    from cqrs.http.middleware.retry import AsyncRetryMiddleware as AsyncRetryMiddleware
    from cqrs.http.middleware.retry import SyncRetryMiddleware as SyncRetryMiddleware
    from cqrs.http.middleware.tracing import AsyncTracingMiddleware as AsyncTracingMiddleware
    from cqrs.http.middleware.tracing import SyncTracingMiddleware as SyncTracingMiddleware
    from cqrs.http.models import Request as Request
    from cqrs.http.models import Response as Response
    from cqrs.http.oauth2 import OAuth2TokenError as OAuth2TokenError
    from cqrs.http.outcomes import Outcomes as Outcomes
    from cqrs.http.registry import Registry as Registry
    from cqrs.http.registry import register as register
    from cqrs.http.registry import scan as scan
    from cqrs.http.results import Err as Err
    from cqrs.http.results import Ok as Ok
    from cqrs.http.results import ResponseBox as ResponseBox
    from cqrs.http.results import Result as Result
    from cqrs.http.results import ResultError as ResultError
    from cqrs.http.retry_budget import RetryBudget as RetryBudget
    from cqrs.http.transports.aiohttp import AsyncAiohttpTransport as AsyncAiohttpTransport
    from cqrs.http.transports.httpx import AsyncHttpxTransport as AsyncHttpxTransport
    from cqrs.http.transports.httpx import SyncHttpxTransport as SyncHttpxTransport
    from cqrs.http.typing import AsyncDiscovery as AsyncDiscovery
    from cqrs.http.typing import AsyncHTTPMiddleware as AsyncHTTPMiddleware
    from cqrs.http.typing import AsyncTransport as AsyncTransport
    from cqrs.http.typing import SyncDiscovery as SyncDiscovery
    from cqrs.http.typing import SyncHTTPMiddleware as SyncHTTPMiddleware
    from cqrs.http.typing import SyncTransport as SyncTransport

_TABLE = {
    "AsyncAiohttpTransport": "cqrs.http.transports.aiohttp",
    "AsyncCacheMiddleware": "cqrs.http.middleware.cache",
    "AsyncCircuitBreakerMiddleware": "cqrs.http.middleware.circuit_breaker",
    "AsyncCircuitBreakerTransport": "cqrs.http.guarded.httpx",
    "AsyncClient": "cqrs.http.client",
    "AsyncClientFactory": "cqrs.http.factory",
    "AsyncConsulDiscovery": "cqrs.http.discovery.consul",
    "AsyncDeadlineMiddleware": "cqrs.http.middleware.deadline",
    "AsyncDiscovery": "cqrs.http.typing",
    "AsyncHTTPAddHeadersMiddleware": "cqrs.http.middleware.headers",
    "AsyncHTTPAuthorizationMiddleware": "cqrs.http.middleware.authorization",
    "AsyncHTTPBasicMiddleware": "cqrs.http.middleware.authorization",
    "AsyncHTTPBearerMiddleware": "cqrs.http.middleware.authorization",
    "AsyncHTTPMiddleware": "cqrs.http.typing",
    "AsyncHttpxTransport": "cqrs.http.transports.httpx",
    "AsyncLoggingMiddleware": "cqrs.http.middleware.logging",
    "AsyncNomadDiscovery": "cqrs.http.discovery.nomad",
    "AsyncNomadServiceDiscovery": "cqrs.http.discovery.nomad_service",
    "AsyncOAuth2RefreshTokenMiddleware": "cqrs.http.middleware.oauth2",
    "AsyncPrometheusMiddleware": "cqrs.http.middleware.prometheus",
    "AsyncRedisUnitOfWork": "cqrs.circuit_breaker.redis.unit_of_work",
    "AsyncResource": "cqrs.http.client",
    "AsyncRetryMiddleware": "cqrs.http.middleware.retry",
    "AsyncRouterDiscovery": "cqrs.http.discovery.router",
    "AsyncStaticDiscovery": "cqrs.http.discovery.static",
    "AsyncTracingMiddleware": "cqrs.http.middleware.tracing",
    "AsyncTransport": "cqrs.http.typing",
    "AttachmentField": "cqrs.http.fields",
    "CircuitOpenError": "cqrs.circuit_breaker.errors",
    "CollectionIterator": "cqrs.http.collections",
    "CollectionParser": "cqrs.http.collections",
    "ContractError": "cqrs.http.errors",
    "DiscoveryError": "cqrs.http.errors",
    "Err": "cqrs.http.results",
    "HTTPClientError": "cqrs.http.errors",
    "HTTPClosedError": "cqrs.http.errors",
    "HTTPConnectionError": "cqrs.http.errors",
    "HTTPDeadlineError": "cqrs.http.errors",
    "HTTPError": "cqrs.http.errors",
    "HTTPPoolTimeoutError": "cqrs.http.errors",
    "HTTPRequest": "cqrs.http.messages",
    "HTTPRequestError": "cqrs.http.errors",
    "HTTPResponse": "cqrs.http.messages",
    "HTTPResponseError": "cqrs.http.errors",
    "HTTPTimeout": "cqrs.http.messages",
    "HTTPTimeoutError": "cqrs.http.errors",
    "HTTPUnavailableError": "cqrs.http.errors",
    "HeaderField": "cqrs.http.fields",
    "MemoryCache": "cqrs.http.cache_memory",
    "Metadata": "cqrs.http.collections",
    "OAuth2TokenError": "cqrs.http.oauth2",
    "Ok": "cqrs.http.results",
    "Outcomes": "cqrs.http.outcomes",
    "PathInfoField": "cqrs.http.fields",
    "PostBodyField": "cqrs.http.fields",
    "PrometheusMetrics": "cqrs.http.metrics",
    "QueryStringField": "cqrs.http.fields",
    "Registry": "cqrs.http.registry",
    "Request": "cqrs.http.models",
    "Response": "cqrs.http.models",
    "ResponseBox": "cqrs.http.results",
    "Result": "cqrs.http.results",
    "ResultError": "cqrs.http.results",
    "RetryBudget": "cqrs.http.retry_budget",
    "SyncCacheMiddleware": "cqrs.http.middleware.cache",
    "SyncCircuitBreakerMiddleware": "cqrs.http.middleware.circuit_breaker",
    "SyncCircuitBreakerTransport": "cqrs.http.guarded.httpx",
    "SyncClient": "cqrs.http.client",
    "SyncClientFactory": "cqrs.http.factory",
    "SyncConsulDiscovery": "cqrs.http.discovery.consul",
    "SyncDeadlineMiddleware": "cqrs.http.middleware.deadline",
    "SyncDiscovery": "cqrs.http.typing",
    "SyncHTTPAddHeadersMiddleware": "cqrs.http.middleware.headers",
    "SyncHTTPAuthorizationMiddleware": "cqrs.http.middleware.authorization",
    "SyncHTTPBasicMiddleware": "cqrs.http.middleware.authorization",
    "SyncHTTPBearerMiddleware": "cqrs.http.middleware.authorization",
    "SyncHTTPMiddleware": "cqrs.http.typing",
    "SyncHttpxTransport": "cqrs.http.transports.httpx",
    "SyncLoggingMiddleware": "cqrs.http.middleware.logging",
    "SyncNomadDiscovery": "cqrs.http.discovery.nomad",
    "SyncNomadServiceDiscovery": "cqrs.http.discovery.nomad_service",
    "SyncOAuth2RefreshTokenMiddleware": "cqrs.http.middleware.oauth2",
    "SyncPrometheusMiddleware": "cqrs.http.middleware.prometheus",
    "SyncRedisUnitOfWork": "cqrs.circuit_breaker.redis.unit_of_work",
    "SyncResource": "cqrs.http.client",
    "SyncRetryMiddleware": "cqrs.http.middleware.retry",
    "SyncRouterDiscovery": "cqrs.http.discovery.router",
    "SyncStaticDiscovery": "cqrs.http.discovery.static",
    "SyncTracingMiddleware": "cqrs.http.middleware.tracing",
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
    "AsyncAiohttpTransport",
    "AsyncCacheMiddleware",
    "AsyncCircuitBreakerMiddleware",
    "AsyncCircuitBreakerTransport",
    "AsyncClient",
    "AsyncClientFactory",
    "AsyncConsulDiscovery",
    "AsyncDeadlineMiddleware",
    "AsyncDiscovery",
    "AsyncHTTPAddHeadersMiddleware",
    "AsyncHTTPAuthorizationMiddleware",
    "AsyncHTTPBasicMiddleware",
    "AsyncHTTPBearerMiddleware",
    "AsyncHTTPMiddleware",
    "AsyncHttpxTransport",
    "AsyncLoggingMiddleware",
    "AsyncNomadDiscovery",
    "AsyncNomadServiceDiscovery",
    "AsyncOAuth2RefreshTokenMiddleware",
    "AsyncPrometheusMiddleware",
    "AsyncRedisUnitOfWork",
    "AsyncResource",
    "AsyncRetryMiddleware",
    "AsyncRouterDiscovery",
    "AsyncStaticDiscovery",
    "AsyncTracingMiddleware",
    "AsyncTransport",
    "AttachmentField",
    "CircuitOpenError",
    "CollectionIterator",
    "CollectionParser",
    "ContractError",
    "DiscoveryError",
    "Err",
    "HTTPClientError",
    "HTTPClosedError",
    "HTTPConnectionError",
    "HTTPDeadlineError",
    "HTTPError",
    "HTTPPoolTimeoutError",
    "HTTPRequest",
    "HTTPRequestError",
    "HTTPResponse",
    "HTTPResponseError",
    "HTTPTimeout",
    "HTTPTimeoutError",
    "HTTPUnavailableError",
    "HeaderField",
    "MemoryCache",
    "Metadata",
    "OAuth2TokenError",
    "Ok",
    "OpenedState",
    "Outcomes",
    "PathInfoField",
    "PostBodyField",
    "PrometheusMetrics",
    "QueryStringField",
    "Registry",
    "Request",
    "Response",
    "ResponseBox",
    "Result",
    "ResultError",
    "RetryBudget",
    "SyncCacheMiddleware",
    "SyncCircuitBreakerMiddleware",
    "SyncCircuitBreakerTransport",
    "SyncClient",
    "SyncClientFactory",
    "SyncConsulDiscovery",
    "SyncDeadlineMiddleware",
    "SyncDiscovery",
    "SyncHTTPAddHeadersMiddleware",
    "SyncHTTPAuthorizationMiddleware",
    "SyncHTTPBasicMiddleware",
    "SyncHTTPBearerMiddleware",
    "SyncHTTPMiddleware",
    "SyncHttpxTransport",
    "SyncLoggingMiddleware",
    "SyncNomadDiscovery",
    "SyncNomadServiceDiscovery",
    "SyncOAuth2RefreshTokenMiddleware",
    "SyncPrometheusMiddleware",
    "SyncRedisUnitOfWork",
    "SyncResource",
    "SyncRetryMiddleware",
    "SyncRouterDiscovery",
    "SyncStaticDiscovery",
    "SyncTracingMiddleware",
    "SyncTransport",
    "UnregisteredClientError",
    "UnregisteredResourceError",
    "UnregisteredVerbError",
    "WrongRequestModelError",
    "register",
    "scan",
]
