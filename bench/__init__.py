"""The benchmark: the real server under load, beside the ceilings of this machine in the same run (see README.md)."""
