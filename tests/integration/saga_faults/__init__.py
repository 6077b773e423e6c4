"""The database fails, hangs, dies or loses replies while sagas are executed, at each place in turn."""
