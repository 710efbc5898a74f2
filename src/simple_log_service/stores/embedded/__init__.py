"""The embedded store: sealed chunks in SQLite files, one file per day of arrival."""
