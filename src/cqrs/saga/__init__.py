"""Sagas: work in steps that span services, resumed after a crash, compensated when it cannot be completed."""
