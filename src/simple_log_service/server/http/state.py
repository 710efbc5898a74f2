"""The states of a connection; ``connection`` says how they follow each other."""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """Where a connection is."""

    HEAD = "waits for a request, or for the rest of its head"
    ROOM = "waits until the memory budget has room for what has come of the body"
    BODY = "reads the body"
    ANSWERING = "waits for the application"
    SKIPPING = "has answered, and discards the rest of a body that nobody wants"
    DRAINING = "has answered, and waits until the client has taken most of it"
    LINGERING = "has sent its last answer, and discards input until the client closes"
    CLOSING = "writes what is buffered, and nothing else"
    GONE = "is closed"
