"""The command line. Thin: every command calls a public function and prints what it returns."""

from __future__ import annotations

from gpenvid.cli.commands import app, main

__all__ = ["app", "main"]
