"""`mie`: one file per verb. Exit codes: 0 ok, 2 usage, 3 input refused, 4 environment, 5 internal, 130 stopped by Ctrl-C."""

from __future__ import annotations

import json
import signal
import sys
import traceback
from typing import Any

import typer

from ..errors import MieError
from . import bench, doctor, models, recognize, synth, train
from . import eval as evaluation

app = typer.Typer(
    name="mie",
    help="Micro-expressions: make labelled clips from faces, see them in videos, train and judge recognisers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("synth")(synth.synth)
app.command("recognize")(recognize.recognize)
app.command("train")(train.train)
app.command("eval")(evaluation.evaluate)
app.command("doctor")(doctor.doctor)
app.add_typer(bench.app, name="bench")
app.add_typer(models.app, name="models")


# What typer raises for arguments it cannot read; its own module of it moved between releases.
_ArgumentError: type[Any] = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


def main() -> None:
    """Run the command line; every error ends in one sentence and the exit code of its kind."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # asked to end is asked to end, from a keyboard or a scheduler
    try:
        code = app(prog_name="mie", standalone_mode=False)
        if code == 130:  # how typer hands on a Ctrl-C
            raise KeyboardInterrupt
        sys.exit(code if isinstance(code, int) else 0)
    except MieError as error:
        _fail(error.exit_code, type(error).__name__, str(error))
    except KeyboardInterrupt:
        _fail(130, "Stopped", "stopped; run the same command again to finish.")
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except _ArgumentError as error:
        error.show()  # with the usage of the verb
        _fail(error.exit_code, "UsageError", error.format_message(), shown=True)
    except Exception as error:
        traceback.print_exc()
        _fail(5, "InternalError", f"{type(error).__name__}: {error}. This is a fault of mie_engine; please report it with the lines above.")


def _fail(code: int, kind: str, message: str, shown: bool = False) -> None:
    if "--json" in sys.argv:
        print(json.dumps({"error": kind, "message": message, "exit_code": code}))
    if not shown:
        print(f"mie: {message}", file=sys.stderr)
    sys.exit(code)
