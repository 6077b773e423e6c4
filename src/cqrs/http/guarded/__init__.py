"""The circuit breaker alone, for an HTTP client of your own."""
