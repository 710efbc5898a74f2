"""The function that the table's stream calls. Lambda calls ``handler``; everything is set up when it imports this."""

from __future__ import annotations

from simple_log_service.aws.stream.home import consumer_home

handler = consumer_home()
