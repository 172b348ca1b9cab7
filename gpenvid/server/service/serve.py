"""Running a service until it is told to stop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gpenvid.server.guard import GuardSettings
from gpenvid.server.run import address_of, listen, read_token, require_server, serve
from gpenvid.server.service.settings import ServiceSettings


def run_service(
    settings: ServiceSettings,
    host: str = "127.0.0.1",
    port: int = 8422,
    *,
    token_file: Path | None = None,
    names: tuple[str, ...] = (),
    say: Callable[[str], None] = print,
) -> None:
    """Answer requests until SIGINT or SIGTERM.

    Args:
        host, port: to listen on; port 0 takes a free one.
        token_file: holds the token that every request must bring; needed unless the host is this machine alone.
        names: further host names under which the service is reached.
        say: told the address once requests are answered.

    Raises:
        UsageError: something to install or the port is missing, or another service uses the data folder.
        WeightsError: a model is missing or damaged.
        InputError: the data folder cannot be used.
    """
    require_server()
    token = read_token(host, token_file)
    with listen(host, port) as opened:
        from gpenvid.server.service.app import service_app
        from gpenvid.server.service.service import Service

        service = Service(settings)
        try:
            app = service_app(
                service, GuardSettings(host=host, names=names, more_names="; --allow-host adds one", token=token, open_paths=("/healthz",))
            )
            serve(app, opened, ready=lambda: say(address_of(opened)), stopping=service.stop_streams)
        finally:
            service.close()
