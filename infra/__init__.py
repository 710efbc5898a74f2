"""The AWS home as a CDK app: what is deployed, decided in ``profiles.py`` and wired in ``stack.py``."""
