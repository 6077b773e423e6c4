"""Circuits that processes share through Redis, Valkey, or what speaks their protocol."""
