"""Sagas: work in steps that span services, resumed after a crash and compensated when it cannot be completed."""
