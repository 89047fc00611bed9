"""`icelane health`: one question to a running server, for the health check of a container."""

from __future__ import annotations

import http.client
import json
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit

import typer

from icelane.cli.extras import require_extra
from icelane.cli.output import CommandError, ConfigFile, ExitCode, JsonFlag, Output, Problem, speaking, usage

EXAMPLE = "Example: `icelane health --url http://127.0.0.1:9641/readyz`"

_LARGEST_ANSWER = 65_536
_NOT_READY = 503


def health(
    url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Ask here. Default: /healthz at metrics.listen of the configuration."),
    ] = None,
    ready: Annotated[bool, typer.Option("--ready", help="Ask /readyz: are new clients welcome?")] = False,
    timeout: Annotated[float, typer.Option(min=0.1, max=60, help="Seconds to wait for the answer.")] = 3.0,
    file: ConfigFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Ask a running server whether it is well, over the port of metrics.listen.

    Exits with 0 when it is, with 1 when it answers otherwise, with 4 when nobody answers. For the health check of a
    container ask without --ready: a server that drains, or is full, is not ready and must not be killed for it.
    """
    with speaking(as_json) as output:
        parts = urlsplit(url if url is not None else _configured(file))
        if parts.scheme != "http" or not parts.hostname:
            raise usage("the URL is that of metrics.listen", "icelane health --url http://127.0.0.1:9641")
        path = "/readyz" if ready else parts.path.rstrip("/") or "/healthz"
        _report(output, *_ask(parts, path, timeout))


def _configured(file: str | None) -> str:
    require_extra("server")
    from icelane.server.config import load_config

    listen = load_config(file).metrics.listen
    if listen is None:
        raise usage(
            "metrics.listen is not set, so nobody answers", 'add to icelane.toml: [metrics] listen = "127.0.0.1:9641"'
        )
    return f"http://{listen}"


def _ask(parts: SplitResult, path: str, timeout: float) -> tuple[int, Any]:
    """The status and the document that came back."""
    assert parts.hostname is not None
    try:
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    except ValueError as error:  # the port is not a number
        raise usage(str(error)) from None
    try:
        connection.request("GET", path, headers={"accept": "application/json"})
        response = connection.getresponse()
        status, body = response.status, response.read(_LARGEST_ANSWER)
    except (OSError, http.client.HTTPException, ValueError) as error:
        problem = Problem(f"{parts.netloc} does not answer: {error}", "is the server running, with metrics.listen set?")
        raise CommandError(ExitCode.NETWORK, problem) from None
    finally:
        connection.close()
    try:
        return status, json.loads(body)
    except ValueError:
        return status, {}


def _report(output: Output, status: int, document: Any) -> None:
    checks = document.get("checks", {}) if isinstance(document, dict) else {}
    well = status == http.client.OK
    output.result({"ok": well, "status": status, "checks": checks})
    if well:
        output.line("the server is well", "green")
        return
    failed = ", ".join(name for name, check in checks.items() if not check.get("ok"))
    if status == _NOT_READY and failed:
        output.line(f"the server is not ready: {failed}", "red")
    else:
        output.line(f"the answer was {status}", "red")
    raise typer.Exit(ExitCode.CHECK_FAILED)
