"""Work that survives a crash: sagas and their storages, the outbox and its relay."""

from __future__ import annotations

from . import memory, postgres, relay

CASES = (*memory.CASES, *postgres.CASES, *relay.CASES)
