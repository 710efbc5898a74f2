"""The function that reads records. Lambda calls ``handler``; everything is set up when it imports this module."""

from __future__ import annotations

from simple_log_service.api.routes import RECENT, RECENT_SERVICE, STATS
from simple_log_service.aws.home import aws_home

handler = aws_home(RECENT, RECENT_SERVICE, STATS)
