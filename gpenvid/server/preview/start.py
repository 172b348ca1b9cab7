"""Starting the preview: a server for this machine, this user and this clip."""

from __future__ import annotations

import secrets
import webbrowser
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Thread

from gpenvid.job.inputs import check_also_read, check_side_file, classify
from gpenvid.job.models import check_detector
from gpenvid.job.preview.clip import PreviewClip
from gpenvid.job.preview.models import usual_name
from gpenvid.job.preview.rendering import check_target
from gpenvid.job.progress import Progress
from gpenvid.server.guard import PAGE_POLICY, Guard, GuardSettings
from gpenvid.server.preview.app import preview_app
from gpenvid.server.preview.session import PreviewSession
from gpenvid.server.run import address_of, listen, serve
from gpenvid.settings import RestoreSettings

_HOST = "127.0.0.1"


def run_preview(
    source: Path,
    output: Path | None,
    settings: RestoreSettings,
    progress: Progress,
    *,
    port: int,
    browser: bool,
    tell: Callable[[str], None],
) -> None:
    """Show a clip until SIGINT or SIGTERM.

    Other users of this machine can reach the port too, so the address carries a token, new at every start. They can also read what
    programs are started with, so the browser is given an address that works once.

    Args:
        tell: prints a line.

    Raises:
        UsageError, InputError, WeightsError: before anything is served; see `PreviewClip` and `listen`.
    """
    item = classify(source)
    settings = replace(settings, model=usual_name(settings.model))
    check_also_read(settings)
    if settings.tracks is not None:
        check_side_file(settings.tracks, [item], others=[output] if output else [])
    if output is not None:
        check_target(item, output)
    check_detector(settings.detector)
    opened = listen(_HOST, port)
    try:
        session = PreviewSession(PreviewClip(source, settings, progress), output, progress)
        token, ticket = (secrets.token_urlsafe(24) for _ in range(2))
        address = f"{address_of(opened)}/?token="

        def ready() -> None:
            tell(f"preview of {source.name}: {address}{token}")
            tell("Ctrl+C ends it")
            session.start()
            if browser:
                # In a thread: where the only browser is one for terminals, this returns when the user leaves it.
                Thread(target=webbrowser.open, args=(address + ticket,), daemon=True).start()

        entry = GuardSettings(host=_HOST, token=token, cookies=True, ticket=ticket, policy=PAGE_POLICY)
        guarded = Guard(preview_app(session), entry)

        def stopping() -> None:
            session.open = False

        try:
            serve(guarded, opened, ready=ready, stopping=stopping)
        finally:
            session.close()
    finally:
        opened.close()
