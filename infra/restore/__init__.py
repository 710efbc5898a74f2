"""The restore: ``python -m infra.restore`` makes a new table from point-in-time recovery, proves it, switches to it."""
