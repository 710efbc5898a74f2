"""The embedded home's HTTP/1.1 listener: sockets in, ``RequestHead`` and body out, ``Response`` back.

``head`` and ``body`` read the wire, ``connection`` keeps the order of things on one connection, ``answers`` writes,
``budget`` bounds the memory of all bodies together and ``unsent`` that of answers, ``listener`` owns the sockets, the
clock's sweep and the stop.
"""

from simple_log_service.server.http.application import Application, Attribution
from simple_log_service.server.http.bounds import Bounds, affordable_connections
from simple_log_service.server.http.listener import Listener

__all__ = ["Application", "Attribution", "Bounds", "Listener", "affordable_connections"]
