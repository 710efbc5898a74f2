"""What the benchmark speaks with: the service, and the servers that it is compared with."""

from bench.targets.base import Ask, Found, Target
from bench.targets.loki import Loki
from bench.targets.own import Own
from bench.targets.victorialogs import VictoriaLogs

OTHERS: dict[str, type[VictoriaLogs] | type[Loki]] = {"victorialogs": VictoriaLogs, "loki": Loki}

__all__ = ["OTHERS", "Ask", "Found", "Loki", "Own", "Target", "VictoriaLogs"]
