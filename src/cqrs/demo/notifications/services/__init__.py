"""The two services, as an application would have them; ``examples/notifications`` says how to serve them.

``user`` knows people and their addresses. ``notif`` looks them up there and sends them mail, and goes on
answering when ``user`` does not.
"""
