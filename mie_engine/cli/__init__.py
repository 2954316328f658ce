"""`mie`: one file per verb. Exit codes: 0 ok, 2 usage, 3 input refused, 4 environment, 5 internal, 130 stopped by Ctrl-C."""

from __future__ import annotations

import json
import sys
import traceback

import typer

from ..errors import MieError
from . import bench, doctor, synth

app = typer.Typer(
    name="mie",
    help="Micro-expressions: make labelled clips from faces at the speed of the hardware.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("synth")(synth.synth)
app.command("doctor")(doctor.doctor)
app.add_typer(bench.app, name="bench")


def main() -> None:
    """Run the command line; every error ends in one sentence and the exit code of its kind."""
    try:
        app(standalone_mode=True)
    except MieError as error:
        _fail(error.exit_code, type(error).__name__, str(error))
    except KeyboardInterrupt:
        _fail(130, "Stopped", "stopped; run the same command again to finish.")
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except Exception as error:
        traceback.print_exc()
        _fail(5, "InternalError", f"{type(error).__name__}: {error}. This is a fault of mie_engine; please report it with the lines above.")


def _fail(code: int, kind: str, message: str) -> None:
    if "--json" in sys.argv:
        print(json.dumps({"error": kind, "message": message, "exit_code": code}))
    print(f"mie: {message}", file=sys.stderr)
    sys.exit(code)
