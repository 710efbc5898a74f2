"""The Python client: signed requests to either home, safe retries, and receipts as objects."""
