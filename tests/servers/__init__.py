"""Private servers for tests that need a real one."""
