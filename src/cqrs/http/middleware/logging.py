"""One log record for every call."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from cqrs.http.flow import AsyncFlow, Flow, FlowMiddleware, Send, SyncFlow
from cqrs.http.messages import HTTPRequest, HTTPResponse, HTTPTimeout
from cqrs.http.middleware.labels import ending

_logger = logging.getLogger(__name__)


class LoggingMiddleware(FlowMiddleware):
    """Logs each call when it has ended: method, path template, client, status and duration.

    These are also the fields ``method``, ``path``, ``client_name``, ``status_code`` and ``duration``
    (seconds) of the record; without an answer ``status_code`` is a word (``"timeout"``,
    ``"connection_error"``, ``"rejected"``, ``"cancelled"``, ``"error"``) and ``error`` names the exception's
    class. No values of the path, no query, header or body is logged. A logger that raises harms no call.

    Args:
        logger: where to log; by default the logger of this module.
        level: of calls that got an answer below 500, or were cancelled.
        error_level: of answers from 500 on, and of calls without an answer.
        clock: seconds.
    """

    def __init__(
        self,
        logger: logging.Logger | None = None,
        level: int = logging.INFO,
        error_level: int = logging.WARNING,
        *,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._logger = _logger if logger is None else logger
        self._level = level
        self._error_level = error_level
        self._clock = clock

    def flow(self, request: HTTPRequest, client_name: str, path: str, timeout: HTTPTimeout) -> Flow:
        start = self._clock()
        try:
            response: HTTPResponse = yield Send(request, timeout)
        except BaseException as error:
            self._log(request, client_name, path, ending(error), self._clock() - start, error)
            raise
        self._log(request, client_name, path, response.status_code, self._clock() - start)
        return response

    def _log(
        self,
        request: HTTPRequest,
        client_name: str,
        path: str,
        status: int | str,
        seconds: float,
        error: BaseException | None = None,
    ) -> None:
        bad = status != "cancelled" if isinstance(status, str) else status >= 500
        level = self._error_level if bad else self._level
        try:
            if not self._logger.isEnabledFor(level):
                return
            fields = {
                "method": request.method,
                "path": path,
                "client_name": client_name,
                "status_code": status,
                "duration": seconds,
            }
            if error is not None:
                fields["error"] = type(error).__qualname__
            self._logger.log(
                level,
                "%s %s of %s: %s in %.3f s",
                request.method,
                path,
                client_name,
                status,
                seconds,
                extra=fields,
            )
        except Exception:
            # A log handler or filter that raises is no reason to undo what the server has done.
            try:
                _logger.error("a log record about a call of %r could not be written", client_name)
            except Exception:
                return


class AsyncLoggingMiddleware(AsyncFlow, LoggingMiddleware):
    __doc__ = LoggingMiddleware.__doc__


class SyncLoggingMiddleware(SyncFlow, LoggingMiddleware):
    __doc__ = LoggingMiddleware.__doc__
