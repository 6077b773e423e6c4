"""What a failed command says to people: what failed, not in which layer of the client."""

from __future__ import annotations

import errno
import socket

_BY_FIRST_WORD = {
    "READONLY": "the server is a replica and takes no writes (READONLY)",
    "LOADING": "the server is still loading its data (LOADING)",
    "OOM": "the server is out of memory (OOM)",
    "MISCONF": "the server takes no writes because it cannot save (MISCONF)",
    "NOREPLICAS": "the server takes no writes for want of replicas (NOREPLICAS)",
    "MASTERDOWN": "the server has lost its primary (MASTERDOWN)",
    "CLUSTERDOWN": "the cluster is down (CLUSTERDOWN)",
    "BUSY": "the server is busy with somebody's script (BUSY)",
    "WRONGPASS": "wrong user name or password",
    "NOAUTH": "the server wants a password",
}
# Clients strip the first word of errors that they have a class for.
_BY_CLASS = {
    "ReadOnlyError": "READONLY",
    "BusyLoadingError": "LOADING",
    "OutOfMemoryError": "OOM",
    "MasterDownError": "MASTERDOWN",
    "ClusterDownError": "CLUSTERDOWN",
    "AuthenticationWrongNumberOfArgsError": "WRONGPASS",
    "AuthenticationError": "WRONGPASS",
}

# What the store itself raises inside a client, which may have wrapped it.
OWN_TEXTS = ("no connection within ", "connected, but too late")


def reason(
    error: BaseException, timeout: float, connect_timeout: float, secrets: tuple[str, ...] = ()
) -> str:
    """Return why a command failed, in one line and without a password.

    Args:
        error: what the client raised.
        timeout: seconds that the command had.
        connect_timeout: seconds that a connection had.
        secrets: passwords.

    >>> reason(TimeoutError(), 0.05, 1.0)
    'timed out after 0.05 s'
    """
    text = " ".join(str(error).split())
    for secret in secrets:
        text = text.replace(secret, "***")
    names = [base.__name__ for base in type(error).__mro__]
    if type(error) is TimeoutError:
        return f"timed out after {timeout:g} s"
    if "NoPermissionError" in names or "NOPERM" in text or "ACL failure" in text or "permission" in text:
        return f"no permission: {text}"
    word = next((_BY_CLASS[name] for name in names if name in _BY_CLASS), text.partition(" ")[0])
    if word == "WRONGPASS" and text.startswith(("NOAUTH", "Authentication required")):
        word = "NOAUTH"
    if word in _BY_FIRST_WORD:
        return _BY_FIRST_WORD[word]
    if text.startswith(OWN_TEXTS):
        return text
    if text == "Timeout connecting to server":
        return f"no connection within {connect_timeout:g} s"
    return _system(error) or f"{type(error).__name__}: {text}"


def _system(error: BaseException) -> str | None:
    """Return what the operating system said, if that is the cause."""
    cause: BaseException | None = error
    for _ in range(8):
        if isinstance(cause, socket.gaierror):
            return "the host name is not known"
        if isinstance(cause, ConnectionRefusedError) or getattr(cause, "errno", None) == errno.ECONNREFUSED:
            return "connection refused"
        if isinstance(cause, FileNotFoundError):
            return "there is no such socket"
        if isinstance(cause, ConnectionResetError | BrokenPipeError):
            return "connection lost"
        if isinstance(cause, AttributeError) and "_add_writer" in str(cause):
            return "connection lost"  # how asyncio in Python 3.12 says that it found out while writing
        if cause is None:
            break
        cause = cause.__cause__ or cause.__context__
    return "connection lost" if "Connection closed by server" in str(error) else None
