"""`/v1/jobs`: the queue."""

from __future__ import annotations

import secrets
import shutil
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as PathParameter
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from gpenvid.server.service.events import job_events
from gpenvid.server.service.files import TYPES, file_answer
from gpenvid.server.service.media_root import resolve_inside
from gpenvid.server.service.problems import Problem, busy, documented
from gpenvid.server.service.runner import Wish, restore_settings, result_name
from gpenvid.server.service.schemas import JobAnswer, JobList, JobOptions, JobState, PathJob, PictureOptions, job_answer
from gpenvid.server.service.service import Service
from gpenvid.server.service.store import Job, QueueFull
from gpenvid.server.service.uploads import receive_form, receive_json, refusing

JobId = Annotated[str, PathParameter(pattern="^[0-9a-f]{32}$", description="As answered by `POST /v1/jobs`.")]


class _Counted(StreamingResponse):
    """Server-sent events that give their place back however they end, even where nobody waited for the first."""

    def __init__(self, places: threading.BoundedSemaphore, events: AsyncIterator[str]) -> None:
        super().__init__(events, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})
        self._places = places

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._places.release()


def form_of(options: type[PictureOptions]) -> dict[str, Any]:
    """The OpenAPI schema of a form with a file and options."""
    schema = options.model_json_schema()
    file = {"type": "string", "format": "binary", "description": "The file; its kind is told by its content."}
    return {"type": "object", "required": ["file"], "additionalProperties": False, "properties": {"file": file, **schema["properties"]}}


def chosen(options: PictureOptions, service: Service) -> dict[str, Any]:
    """Options as they are kept: only those the client gave.

    Raises:
        Problem: an unknown model.
    """
    if options.model is not None and options.model not in service.settings.model_names():
        raise Problem(422, "settings", "unknown model", "choose one of GET /v1/models")
    return options.model_dump(exclude_unset=True, exclude={"path"}, exclude_none=True)


def jobs_router(service: Service) -> APIRouter:
    """The routes of the queue."""
    router = APIRouter(prefix="/v1/jobs", tags=["jobs"])
    store, runner = service.store, service.runner

    def job_or_404(job_id: str) -> Job:
        job = store.get(job_id)
        if job is None or job.state == "deleting":
            raise Problem(404, "not_found", "no such job")
        return job

    def answer(job_id: str) -> JobAnswer:
        return job_answer(job_or_404(job_id), runner.live(job_id))

    async def take_upload(request: Request, folder: Path) -> tuple[str, Path, JobOptions]:
        form = await receive_form(request, folder / "upload", service.settings.max_upload)
        return form.name, form.path, JobOptions.model_validate(form.fields)

    async def take_path(request: Request) -> tuple[str, Path, PathJob]:
        body = await receive_json(request)
        asked = PathJob.model_validate_json(body)
        if service.settings.media_root is None:
            raise Problem(422, "settings", "this server has no media root", "upload the file as multipart/form-data")
        path = resolve_inside(service.settings.media_root, asked.path)
        return Path(asked.path).name, path, asked

    async def take(request: Request, job_id: str) -> Job:
        folder = service.folder(job_id)
        kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
        options: JobOptions
        media = ""
        if kind == "multipart/form-data":
            name, path, options = await take_upload(request, folder)
        elif kind == "application/json":
            name, path, asked = await take_path(request)
            options, media = asked, asked.path
        else:
            raise Problem(415, "media_type", "send multipart/form-data or application/json")
        given = chosen(options, service)
        facts = await service.inspector.facts(path, name, restore_settings(service.settings, given))
        source = folder / f"source{facts['suffix']}"
        if media:
            source.symlink_to(path)
        else:
            path.rename(source)
        return Job(
            id=job_id,
            name=name,
            kind=facts["kind"],
            source=source.name,
            result=f"result{facts['result_suffix']}",
            settings=given,
            created=round(time.time(), 3),
            media=media,
            frames=facts["frames"],
        )

    @router.post(
        "",
        status_code=201,
        summary="Put a file into the queue",
        response_model=JobAnswer,
        responses=documented(400, 404, 408, 413, 415, 422, 429, 507),
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {
                    "multipart/form-data": {"schema": form_of(JobOptions)},
                    "application/json": {
                        "schema": PathJob.model_json_schema(),
                        "example": {"path": "reels/interview.mp4", "strength": 0.8},
                    },
                },
            }
        },
    )
    async def create(request: Request, response: Response) -> JobAnswer:
        """Upload a video or picture (`multipart/form-data`), or name a file under the media root (`application/json`).

        The file is decoded in part before the answer, so that one that cannot be restored is refused now. When the queue
        is full the answer is 429 with `Retry-After`.
        """
        job_id = secrets.token_hex(16)
        folder = service.folder(job_id)
        async with refusing(request):
            with store.place():
                folder.mkdir(mode=0o700)
                try:
                    job = await take(request, job_id)
                    store.add(job)
                except BaseException:
                    shutil.rmtree(folder, ignore_errors=True)
                    raise
        runner.notify()
        response.headers["Location"] = f"/v1/jobs/{job_id}"
        return job_answer(job, None)

    @router.head("", include_in_schema=False)
    @router.get("", summary="List jobs, newest first", responses=documented(422))
    def list_jobs(
        state: Annotated[JobState | None, Query(description="Only jobs in this state.")] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
    ) -> JobList:
        jobs = store.newest(state, limit, offset)
        # Reports are left out: two hundred of them are megabytes.
        return JobList(jobs=[job_answer(replace(j, report=None), runner.live(j.id)) for j in jobs], queued=store.counts().get("queued", 0))

    @router.head("/{job_id}", include_in_schema=False)
    @router.get("/{job_id}", summary="Look at a job", responses=documented(404, 422))
    def look(job_id: JobId) -> JobAnswer:
        return answer(job_id)

    stream_example = {"text/event-stream": {"example": 'event: job\ndata: {"state": "running"}\n\n'}}

    @router.get(
        "/{job_id}/events",
        summary="Follow a job",
        response_class=StreamingResponse,
        responses={
            200: {"description": "Server-sent events", "content": stream_example},
            **documented(404, 422, 429),
        },
    )
    def events(job_id: JobId) -> StreamingResponse:
        """Server-sent events: `job` with the job as `GET /v1/jobs/{id}` answers it, now and at each change; `end` once it is finished."""
        job_or_404(job_id)
        if not service.streams.acquire(blocking=False):
            raise busy("too many follow jobs")

        def look() -> JobAnswer | None:
            job = store.get(job_id)
            return None if job is None or job.state == "deleting" else job_answer(job, runner.live(job_id))

        return _Counted(service.streams, job_events(look, lambda: service.stopping))

    binary = {"content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in dict.fromkeys(TYPES.values())}}

    @router.head("/{job_id}/result", include_in_schema=False)
    @router.get(
        "/{job_id}/result",
        summary="Download the result",
        response_class=StreamingResponse,
        responses={
            200: {"description": "The file", **binary},
            206: {"description": "Part of it", **binary},
            **documented(404, 409, 416, 422),
        },
    )
    def result(job_id: JobId, request: Request) -> Response:
        """The restored file. One `Range` of bytes is respected, with `If-Range`."""
        job = job_or_404(job_id)
        if job.state != "done":
            raise Problem(409, "state", f"the job is {job.state}")
        try:
            file = (service.folder(job_id) / job.result).open("rb")
        except FileNotFoundError:
            raise Problem(404, "not_found", "the result is gone") from None
        return file_answer(request, file, result_name(job))

    def wished(job_id: str, wish: Wish) -> JobAnswer:
        job = job_or_404(job_id)
        if not runner.wish(job_id, wish):
            raise Problem(409, "state", f"the job is {job_or_404(job.id).state}")
        return answer(job_id)

    @router.post("/{job_id}/cancel", status_code=202, summary="Cancel a job", responses=documented(404, 409, 422))
    def cancel(job_id: JobId) -> JobAnswer:
        """A running job ends within seconds; what it had done is removed."""
        return wished(job_id, "cancel")

    @router.post("/{job_id}/pause", status_code=202, summary="Pause a job", responses=documented(404, 409, 422))
    def pause(job_id: JobId) -> JobAnswer:
        """A running job ends within seconds and keeps its finished segments; others have their turn."""
        return wished(job_id, "pause")

    @router.post("/{job_id}/resume", status_code=202, summary="Resume a paused job", responses=documented(404, 409, 422, 429))
    def resume(job_id: JobId) -> JobAnswer:
        """The job is queued again at its old place, and continues with what was finished."""
        job = job_or_404(job_id)
        try:
            with store.place():
                if not store.change(job_id, among=("paused",), state="queued", starts=0):
                    raise Problem(409, "state", f"the job is {job.state}")
        except QueueFull:
            raise busy() from None
        runner.notify()
        return answer(job_id)

    @router.delete("/{job_id}", status_code=204, summary="Delete a job and its files", responses=documented(404, 409, 422))
    def delete(job_id: JobId) -> Response:
        """A running job is cancelled first."""
        job_or_404(job_id)
        if not runner.wish(job_id, "delete"):
            raise Problem(409, "state", "the job changes its state at the moment", "try again")
        return Response(status_code=204)

    return router
