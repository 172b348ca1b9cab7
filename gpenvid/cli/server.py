"""The commands that start servers."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from gpenvid.cli.preview import preview
from gpenvid.errors import UsageError
from gpenvid.settings import RestoreSettings

_DEFAULTS = RestoreSettings()
DEFAULT_PORT = 8422


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(preview)
    app.command()(serve)


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; others than this machine's own need --token-file.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = DEFAULT_PORT,
    data: Annotated[Path | None, typer.Option(help="Folder of queue, uploads and results; by default in the user's data folder.")] = None,
    media_root: Annotated[Path | None, typer.Option(help="Folder of files that clients may name instead of uploading.")] = None,
    token_file: Annotated[Path | None, typer.Option(help="File with the token that every request must bring.")] = None,
    allow_host: Annotated[list[str] | None, typer.Option(help="Further host name of the service, such as a proxy's; repeatable.")] = None,
    model: Annotated[list[str] | None, typer.Option(help="Restorer that clients may choose; repeatable, the first is the default.")] = None,
    detector: Annotated[str, typer.Option(help="Face detector by name.")] = _DEFAULTS.detector,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = _DEFAULTS.device,
    dtype: Annotated[str, typer.Option(help="auto, fp32 or bf16.")] = _DEFAULTS.dtype,
    engine: Annotated[str, typer.Option(help="What computes the network on a CPU: auto, torch or openvino.")] = _DEFAULTS.engine,
    batch: Annotated[int, typer.Option(help="Crops per network call; 0 chooses.")] = _DEFAULTS.batch,
    queue: Annotated[int, typer.Option(help="Jobs that may wait.")] = 16,
    pictures: Annotated[int, typer.Option(help="Requests for single pictures that may wait.")] = 32,
    max_upload: Annotated[int, typer.Option(help="Largest upload, in MB.")] = 4000,
    max_picture: Annotated[int, typer.Option(help="Largest picture that is answered at once, in MB.")] = 64,
    max_pixels: Annotated[int, typer.Option(help="Largest frame or picture, in pixels.")] = 2**26,
    picture_seconds: Annotated[float, typer.Option(help="Longest time for one picture.")] = 120,
    keep_days: Annotated[float, typer.Option(help="Remove finished jobs after so many days; 0 keeps them.")] = 7,
    keep_gb: Annotated[float, typer.Option(help="Remove the oldest finished jobs while all take more; 0 for no limit.")] = 50,
) -> None:
    """Restore over HTTP: a queue for videos, pictures at once. See docs/service.md."""
    from gpenvid.server.run import require_server

    require_server()
    from gpenvid.server.service.serve import run_service
    from gpenvid.server.service.settings import ServiceSettings, default_data

    RestoreSettings(device=device, dtype=dtype, batch=batch, engine=engine)
    for option, value in (("keep-days", keep_days), ("keep-gb", keep_gb)):
        if not math.isfinite(value):
            raise UsageError(f"--{option} {value} is no number", "give a finite one; 0 keeps all")
    settings = ServiceSettings(
        data=(data or default_data()).absolute(),
        media_root=None if media_root is None else media_root.absolute(),
        models=tuple(model or [_DEFAULTS.model]),
        detector=detector,
        device=device,
        dtype=dtype,
        engine=engine,
        batch=batch,
        queue=queue,
        pictures=pictures,
        max_upload=max_upload * 10**6,
        max_picture=max_picture * 10**6,
        max_pixels=max_pixels,
        picture_seconds=picture_seconds,
        keep_days=keep_days,
        keep_bytes=round(keep_gb * 10**9),
    )

    def say(address: str) -> None:
        print(f"gpenvid answers at {address}/v1 (files in {settings.data})", flush=True)

    run_service(settings, host, port, token_file=token_file, names=tuple(allow_host or ()), say=say)
