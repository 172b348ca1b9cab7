"""The preview's HTTP: the page, its files, pictures, and what the page asks to be done."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from concurrent.futures import Future
from importlib import resources
from pathlib import Path
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from starlette.exceptions import HTTPException as StarletteHTTPException

from gpenvid import __version__
from gpenvid.errors import GpenvidError, InputError
from gpenvid.job.preview.desk import SupersededError
from gpenvid.job.preview.models import offered_models
from gpenvid.job.preview.people import describe_people, places
from gpenvid.job.preview.rendering import is_there
from gpenvid.server.guard import error_body
from gpenvid.server.preview.forms import FrameParameters, LoopForm, PageForm, RenderForm, StopForm, saved_page
from gpenvid.server.preview.session import PreviewSession, Wanted

_KEEP = {"cache-control": "private, max-age=86400"}
_PULSE = 0.1  # seconds between two looks at whether there is news
_SIGN_OF_LIFE = 15.0
_MOST_PLACES = 1000
_TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def page_files() -> dict[str, Path]:
    """The page's own files by name."""
    folder = Path(str(resources.files("gpenvid.server.preview"))) / "page"
    return {path.name: path for path in folder.iterdir() if path.suffix in _TYPES}


def preview_app(session: PreviewSession) -> FastAPI:
    """The app around one clip; to be put behind a `Guard`."""
    app = FastAPI(title="gpenvid preview", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    files = page_files()
    clip = session.clip

    @app.get("/")
    def page() -> Response:
        return _file(files["index.html"])

    @app.get("/page/{name}")
    def page_file(name: str) -> Response:
        if name not in files:
            raise HTTPException(404)
        return _file(files[name])

    @app.get("/api/clip")
    def about() -> dict[str, Any]:
        # Counted before anything is read: what is saved meanwhile is read again.
        saves, info, tracks = session.saves, clip.info, clip.tracks
        width, height = info.display_size
        known = len(clip.index)
        return {
            "name": clip.source.name,
            "width": width,
            "height": height,
            "rate": float(info.frame_rate) if info.frame_rate else 0.0,
            "frames": known if clip.complete else max(known, info.frame_count),
            "complete": clip.complete,
            "session": session.id,
            "sidecar": clip.sidecar.name,
            "output": session.target.name,
            "models": offered_models(clip.settings.model),
            "shots": [[s.start, s.end] for s in tracks.shots],
            "people": describe_people(tracks),
            "saved": saved_page(clip.saved),
            "saves": saves,
            "version": __version__,
            "look": {
                "model": clip.settings.model,
                "strength": clip.settings.strength,
                "color": "source" if clip.settings.keep_colour else "restored",
                "deflicker": clip.settings.deflicker,
                "grain": clip.settings.grain,
                "mask": clip.settings.mask,
            },
        }

    @app.get("/api/times")
    def times(first: int = 0) -> list[float]:
        return [round(clip.time(i), 5) for i in range(max(0, first), len(clip.index))]

    @app.get("/api/places")
    def face_places(first: int, count: int = 100) -> dict[str, Any]:
        return {"first": first, "places": places(clip.tracks, max(0, first), min(max(0, count), _MOST_PLACES))}

    @app.get("/api/people/{number}/face.jpg")
    async def face(number: int) -> Response:
        return Response(await _made(session.face(number)), media_type="image/jpeg", headers=_KEEP)

    @app.get("/api/frame/{index}")
    async def frame(index: int, query: FrameParameters) -> Response:
        look = query.look()
        if look is not None:
            look = clip.look_at(index, session.checked(look))
        ready = len(clip.index) if look is None else min(clip.tracks.frames, len(clip.index))
        if not 0 <= index < ready:
            raise IndexError(index)
        wanted = Wanted(index, look, query.width if query.width < clip.info.display_size[0] else 0, query.form, clip.generation)
        made = await _made(session.picture(wanted, query.view, ahead=query.ahead))
        return Response(made, media_type=f"image/{query.form}", headers=_KEEP)

    @app.post("/api/loop")
    def loop(form: LoopForm) -> dict[str, str]:
        both = form.compare == "looks"
        left = session.checked(form.page.look(0)) if both else None
        right = session.checked(form.page.look(1) if both else form.page.look())
        return {"id": session.start_loop(form.first, form.last, left, right, form.width)}

    @app.post("/api/loop/stop")
    def loop_stop(form: StopForm) -> dict[str, bool]:
        session.stop_loop(form.id)
        return {"done": True}

    @app.get("/api/loop/{name}.mp4")
    def loop_file(name: str) -> Response:
        path = session.loop_file(name)
        if path is None:
            raise HTTPException(404)
        return FileResponse(path, media_type="video/mp4")

    @app.post("/api/save")
    def save(form: PageForm) -> dict[str, str]:
        session.save(session.checked(form.look()), form.model_dump(mode="json"))
        return {"sidecar": clip.sidecar.name}

    @app.post("/api/command")
    def command(form: PageForm) -> dict[str, str]:
        return {"command": session.command(session.checked(form.look()))}

    @app.post("/api/render")
    def render(form: RenderForm) -> Response:
        if is_there(session.target) and not form.overwrite:
            body = error_body("exists", f"{session.target.name} exists already", "replace it, or start the preview with another -o")
            return JSONResponse(body, 409)
        session.start_render(session.checked(form.page.look()), form.page.model_dump(mode="json"), overwrite=form.overwrite)
        return JSONResponse({"output": session.target.name}, 202)

    @app.post("/api/render/{order}")
    def render_order(order: str) -> dict[str, str]:
        orders = {"pause": session.render.pause, "resume": session.render.resume, "stop": session.render.stop}
        if order not in orders:
            raise HTTPException(404)
        orders[order]()
        return {"state": session.render.status.state}

    @app.get("/api/result")
    def result() -> Response:
        path = session.render.output
        if path is None or not path.is_file():
            raise HTTPException(404)
        return FileResponse(path, filename=path.name)

    @app.get("/api/events")
    async def events() -> Response:
        headers = {"x-accel-buffering": "no"}
        return StreamingResponse(_news(session), media_type="text/event-stream", headers=headers)

    _add_error_answers(app, session)
    return app


def _file(path: Path) -> Response:
    # Small, and read anew each time: a page of one version with modules of another is worse than a millisecond.
    return Response(path.read_bytes(), media_type=_TYPES[path.suffix], headers={"cache-control": "no-cache"})


async def _made(future: Future[bytes]) -> bytes:
    return await asyncio.wrap_future(future)


async def _news(session: PreviewSession) -> AsyncIterator[str]:
    """The status whenever it has changed, as server-sent events."""
    seen, silent = -1, 0.0
    while session.open:
        if session.version != seen:
            seen, silent = session.version, 0.0
            status = await asyncio.to_thread(session.status)
            yield f"data: {json.dumps(status)}\n\n"
        elif silent > _SIGN_OF_LIFE:
            silent = 0.0
            yield ": nothing new\n\n"
        await asyncio.sleep(_PULSE)
        silent += _PULSE


def _add_error_answers(app: FastAPI, session: PreviewSession) -> None:
    @app.exception_handler(GpenvidError)
    async def _expected(_request: Request, error: GpenvidError) -> Response:
        status = 422 if isinstance(error, InputError) else 409
        return JSONResponse(error_body(type(error).__name__, session.plain(error.message), session.plain(error.remedy)), status)

    @app.exception_handler(IndexError)
    async def _not_there(_request: Request, _error: IndexError) -> Response:
        return JSONResponse(error_body("not-yet", "this is not analysed yet, or not there", "wait for the analysis"), 404)

    @app.exception_handler(SupersededError)
    async def _outdated(_request: Request, _error: SupersededError) -> Response:
        return JSONResponse(error_body("superseded", "another picture was asked for meanwhile"), 409)

    @app.exception_handler(RequestValidationError)
    async def _malformed(_request: Request, error: RequestValidationError) -> Response:
        fields = ", ".join(".".join(map(str, e["loc"][1:])) for e in error.errors()[:5])
        return JSONResponse(error_body("malformed", f"not as expected: {fields}", "load the page again"), 422)

    @app.exception_handler(StarletteHTTPException)
    async def _plain(_request: Request, error: StarletteHTTPException) -> Response:
        return JSONResponse(error_body(str(error.status_code), str(error.detail)), error.status_code)
