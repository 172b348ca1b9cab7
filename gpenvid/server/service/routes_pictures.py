"""`/v1/restore/image`: one picture, at once."""

from __future__ import annotations

import secrets
import shutil

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from gpenvid.server.service.files import TYPES, file_answer
from gpenvid.server.service.problems import Problem, documented
from gpenvid.server.service.routes_jobs import chosen, form_of
from gpenvid.server.service.runner import restore_settings
from gpenvid.server.service.schemas import ModelList, PictureOptions
from gpenvid.server.service.service import Service
from gpenvid.server.service.uploads import receive_form, refusing


def pictures_router(service: Service) -> APIRouter:
    """The routes for pictures and models."""
    router = APIRouter(prefix="/v1", tags=["pictures"])
    binary = {"schema": {"type": "string", "format": "binary"}}

    @router.post(
        "/restore/image",
        summary="Restore a picture",
        response_class=StreamingResponse,
        responses={
            200: {
                "description": "The restored picture, in the format it came in",
                "content": {kind: binary for kind in dict.fromkeys(TYPES.values()) if kind.startswith("image/")},
                "headers": {
                    "X-Faces-Restored": {"description": "Faces restored.", "schema": {"type": "integer"}},
                    "X-Faces-Skipped": {"description": "Faces found and left alone.", "schema": {"type": "integer"}},
                },
            },
            **documented(400, 408, 413, 415, 422, 429, 507),
        },
        openapi_extra={"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": form_of(PictureOptions)}}}},
    )
    async def restore_image(request: Request) -> Response:
        """PNG, JPEG, TIFF, WebP, BMP, PNM or JPEG 2000, 8 or 16 bit; its metadata is kept.

        Pictures are restored one after the other, beside a job that may be running. When too many wait the answer is 429.
        """
        folder = service.settings.data / "pictures" / secrets.token_hex(16)
        async with refusing(request):
            with service.pictures.place():
                folder.mkdir(mode=0o700)
                try:
                    if request.headers.get("content-type", "").split(";")[0].strip().lower() != "multipart/form-data":
                        raise Problem(415, "media_type", "send multipart/form-data")
                    form = await receive_form(request, folder / "upload", service.settings.max_picture)
                    options = PictureOptions.model_validate(form.fields)
                    settings = restore_settings(service.settings, chosen(options, service))
                    done = await service.pictures.restore(form.path, form.name, settings)
                    # Opened before the folder goes: the answer needs no name.
                    file = done.path.open("rb")
                finally:
                    shutil.rmtree(folder, ignore_errors=True)
        name = f"{form.name.rpartition('.')[0] or form.name}_restored{done.path.suffix}"
        request.scope["headers"] = [h for h in request.scope["headers"] if h[0] != b"range"]  # parts of an answer to POST make no sense
        return file_answer(request, file, name, {"X-Faces-Restored": str(done.faces), "X-Faces-Skipped": str(done.skipped)})

    @router.head("/models", include_in_schema=False)
    @router.get("/models", summary="List the restorers to choose from", responses=documented())
    def models() -> ModelList:
        names = list(service.settings.model_names())
        return ModelList(models=names, default=names[0])

    return router
