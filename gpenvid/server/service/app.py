"""The app: routes, errors, OpenAPI document, and the guard around them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from gpenvid import __version__
from gpenvid.server.guard import App, Guard, GuardSettings
from gpenvid.server.service.metrics import Counting
from gpenvid.server.service.problems import install
from gpenvid.server.service.retention import sweep_forever
from gpenvid.server.service.routes_jobs import jobs_router
from gpenvid.server.service.routes_pictures import pictures_router
from gpenvid.server.service.routes_system import system_router
from gpenvid.server.service.service import Service

_DESCRIPTION = """Restores faces in videos and pictures.

Videos go through a queue: `POST /v1/jobs`, follow `GET /v1/jobs/{id}/events`, then `GET /v1/jobs/{id}/result`.
Single pictures are answered at once: `POST /v1/restore/image`.

Every error is `{"error": {"code", "message", "remedy"}}`."""


def service_app(service: Service, guard: GuardSettings) -> App:
    """The ASGI app of a service. Its worker runs from the app's startup to its shutdown, which closes the service."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        service.runner.start()
        sweeping = asyncio.create_task(sweep_forever(service.settings, service.store, service.runner))
        try:
            yield
        finally:
            sweeping.cancel()
            await asyncio.to_thread(service.close)

    app = FastAPI(
        title="gpenvid",
        version=__version__,
        description=_DESCRIPTION,
        openapi_url="/v1/openapi.json",
        docs_url=None,  # its page would load scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
    )
    counting = Counting(Guard(app, guard))
    install(app, [jobs_router(service), pictures_router(service), system_router(service, counting)])
    if guard.token is not None:
        _document_token(app)
    return counting


def _document_token(app: FastAPI) -> None:
    plain = app.openapi

    def with_token() -> dict[str, Any]:
        document = plain()
        document.setdefault("components", {})["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"token": []}]
        document["paths"]["/healthz"]["get"]["security"] = []
        return document

    app.openapi = with_token  # type: ignore[method-assign]
