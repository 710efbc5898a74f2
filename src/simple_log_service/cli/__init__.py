"""The command line, ``simple-log-service`` or ``slog``."""
