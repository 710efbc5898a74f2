"""The embedded home: one process that listens, verifies, throttles and answers."""
