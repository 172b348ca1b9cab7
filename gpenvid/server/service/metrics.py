"""Figures for Prometheus, in its text format."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable

from gpenvid import __version__
from gpenvid.job.memory import resident_bytes
from gpenvid.server.guard import App, Message, Receive, Scope, Send

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_STARTED = time.time()


class Counting:
    """ASGI middleware that counts answers by method and status; the outermost, so that refusals count too."""

    def __init__(self, app: App) -> None:
        self._app = app
        self.answers: Counter[tuple[str, int]] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                method = scope["method"] if scope["method"] in _METHODS else "other"
                self.answers[method, message["status"]] += 1
            await send(message)

        await self._app(scope, receive, counted)


def metric(name: str, kind: str, text: str, values: Iterable[tuple[dict[str, object], float]]) -> str:
    """One metric with its samples."""
    lines = [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
    for labels, value in values:
        inside = ",".join(f'{k}="{v}"' for k, v in labels.items())
        lines.append(f"{name}{{{inside}}} {value:.15g}" if inside else f"{name} {value:.15g}")
    return "\n".join(lines) + "\n"


def process_metrics() -> str:
    """Version, start and memory of the server's own process."""
    return (
        metric("gpenvid_info", "gauge", "Version of gpenvid.", [({"version": __version__}, 1)])
        + metric("process_start_time_seconds", "gauge", "When the server was started.", [({}, _STARTED)])
        + metric("process_resident_memory_bytes", "gauge", "Memory of the server, its workers left out.", [({}, resident_bytes())])
    )
