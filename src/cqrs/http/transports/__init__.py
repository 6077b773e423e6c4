"""What sends requests: pools of connections over the HTTP library of your choice."""
