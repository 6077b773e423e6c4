"""The import path of ``EventProducer`` that applications know."""

from __future__ import annotations

from cqrs.outbox.producer import EventProducer

__all__ = ["EventProducer"]
