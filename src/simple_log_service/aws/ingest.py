"""The function that takes records in. Lambda calls ``handler``; everything is set up when it imports this module."""

from __future__ import annotations

from simple_log_service.api.routes import INGEST, INGEST_SERVICE
from simple_log_service.aws.home import aws_home

handler = aws_home(INGEST, INGEST_SERVICE)
