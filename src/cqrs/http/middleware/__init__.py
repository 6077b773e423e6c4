"""Code around every call: see ``cqrs.http.typing`` and ``cqrs.http.flow``."""
