"""Processes that execute sagas and publish outboxes die by SIGKILL, anywhere; what is left is checked."""
