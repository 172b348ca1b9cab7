"""Health and metrics, for machines that look after the service."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from gpenvid import __version__
from gpenvid.server.service.metrics import Counting, metric, process_metrics
from gpenvid.server.service.problems import documented
from gpenvid.server.service.schemas import Health
from gpenvid.server.service.service import Service

_STATES = ("queued", "running", "paused", "done", "failed", "cancelled")


def system_router(service: Service, counting: Counting) -> APIRouter:
    """The routes beside the API."""
    router = APIRouter(tags=["system"])
    unwell: dict[int | str, dict[str, Any]] = {503: {"model": Health, "description": "The worker does not work"}}

    @router.head("/healthz", include_in_schema=False)
    @router.get("/healthz", summary="Whether the service does its work", responses={**unwell, 403: documented()[403]})
    def health(response: Response) -> Health:
        """Needs no token."""
        if service.stopping or not service.runner.alive:
            response.status_code = 503
            return Health(status="stopping" if service.stopping else "broken", version=__version__)
        return Health(status="ok", version=__version__)

    text: dict[int | str, dict[str, Any]] = {
        200: {"description": "Prometheus text", "content": {"text/plain": {"example": 'gpenvid_jobs{state="queued"} 0\n'}}}
    }

    @router.head("/metrics", include_in_schema=False)
    @router.get(
        "/metrics",
        summary="Figures for Prometheus",
        response_class=Response,
        responses={**text, **documented()},
    )
    def metrics() -> Response:
        counts, totals = service.store.counts(), service.runner.totals
        finished: list[tuple[dict[str, object], float]] = [({"state": s}, n) for s, n in sorted(totals.finished.items())]
        figures = (
            process_metrics()
            + metric("gpenvid_jobs", "gauge", "Jobs by state.", [({"state": s}, counts.get(s, 0)) for s in _STATES])
            + metric("gpenvid_queue_places", "gauge", "Jobs that may wait.", [({}, service.settings.queue)])
            + metric(
                "gpenvid_jobs_finished_total",
                "counter",
                "Jobs finished since the start.",
                finished,
            )
            + metric("gpenvid_frames_total", "counter", "Frames of finished jobs.", [({}, totals.frames)])
            + metric("gpenvid_faces_total", "counter", "Faces restored in finished jobs.", [({}, totals.faces)])
            + metric("gpenvid_worker_crashes_total", "counter", "Processes of jobs that died.", [({}, totals.crashes)])
            + metric("gpenvid_pictures_waiting", "gauge", "Pictures that wait or are restored.", [({}, service.pictures.waiting)])
            + metric("gpenvid_pictures_total", "counter", "Pictures restored.", [({}, service.pictures.restored)])
            + metric(
                "gpenvid_http_answers_total",
                "counter",
                "Answers by method and status.",
                [({"method": m, "status": s}, n) for (m, s), n in sorted(counting.answers.items())],
            )
        )
        return Response(figures, media_type="text/plain; version=0.0.4")

    return router
