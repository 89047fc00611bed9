"""`icelane turn`: try a TURN server."""

from __future__ import annotations

import typer

app = typer.Typer(help="Try a TURN server.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    pass
