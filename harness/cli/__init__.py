"""The command `harness`. Commands of the core are here, all others come from plugins; what is heavy is imported inside a command."""

from __future__ import annotations

import functools
import io
import os
import signal
import sys

import click

from harness import __version__
from harness.errors import HarnessError, suggest
from harness.interrupt import interrupt
from harness.plugins import load

__all__ = ["cli", "main"]

CONTEXT = {
    "help_option_names": ["-h", "--help"],
    "auto_envvar_prefix": "HARNESS",
    "max_content_width": 120,
    "show_default": True,
    "token_normalize_func": lambda token: token.replace("_", "-"),  # --batch_size is --batch-size
}


class Group(click.Group):
    """A group that suggests a near name for a misspelt command."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0] if args else ""
        if name and not name.startswith("-") and self.get_command(ctx, name) is None:
            raise click.UsageError(f"there is no command '{name}'.{suggest(name, self.list_commands(ctx))}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=Group, context_settings=CONTEXT)
@click.version_option(__version__, prog_name="harness")
def cli() -> None:
    """Run any forecasting model on any benchmark suite, keep every result, compare honestly.

    \b
    Start here:
      harness ls models                     what can be run
      harness run -m naive,seasonal_naive   run on the embedded suite 'quick'
      harness leaderboard                   compare what was run
      harness leaderboard -o board.html     the same as a page, with slices, tests, plots and receipts

    Exit codes: 0 all good, 1 a defect of the harness, 2 usage, 3 finished with failed cells, 4 a gate failed, 5 nothing matched,
    130 interrupted with everything finished kept.
    """


@functools.cache
def build() -> click.Group:
    """The command with those of the core and of all plugins, made once."""
    from harness.cli.env import env
    from harness.cli.inspect import completion, doctor, ls
    from harness.cli.plugin_commands import new, plugin
    from harness.cli.replay import replay
    from harness.cli.run import plan, run
    from harness.cli.show import show
    from harness.cli.weights import weights

    for command in (run, plan, ls, show, replay, doctor, weights, env, plugin, new, completion):
        cli.add_command(command)
    load().commands(cli)
    return cli


def main(arguments: list[str] | None = None) -> None:
    """Entry point: runs a command and turns errors into a message on stderr and an exit code."""
    _open_streams()
    signal.signal(signal.SIGTERM, interrupt)
    try:
        code = _invoke(build(), arguments)
        sys.stdout.flush()
        sys.exit(code if isinstance(code, int) else 0)
    except HarnessError as error:
        _fail(str(error), error.exit_code)
    except (click.exceptions.Abort, KeyboardInterrupt):
        _fail("interrupted", 130)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        hint = f"\nTry '{context.command_path} --help'." if context is not None else ""
        _fail(error.format_message() + hint, error.exit_code)
    except BrokenPipeError:
        # The reader of our output has gone (`harness ls tasks | head`): nothing is wrong.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(0)
    except OSError as error:  # a full disk behind the output, a working folder that was removed
        if error.filename is None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is still in the buffer cannot be written either
        where = f": {error.filename}" if error.filename else ""
        _fail(f"{error.strerror or error}{where}; is the working folder or the output gone or full?", 2)


def _open_streams() -> None:
    """A closed stream is /dev/null, so that nobody's database gets its number; a terminal without UTF-8 shows "?"."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115, PTH123
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115, PTH123
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _invoke(group: click.Group, arguments: list[str] | None) -> object:
    """Run a command as click's own `main` does, but leave errors to ours: click ends a broken pipe with exit code 1."""
    if "_HARNESS_COMPLETE" in os.environ:
        return group.main(args=arguments, prog_name="harness", complete_var="_HARNESS_COMPLETE", standalone_mode=False)
    try:
        with group.make_context("harness", list(sys.argv[1:] if arguments is None else arguments)) as context:
            return group.invoke(context)
    except click.exceptions.Exit as done:
        return done.exit_code


def _fail(message: str, code: int) -> None:
    if os.environ.get("HARNESS_TRACEBACK"):
        import traceback

        traceback.print_exc()
    from harness.cli.output import printable

    # A stranger's name may stand in it, which must not steer the terminal.
    print("\n".join(printable(line) for line in f"harness: {message}".expandtabs(4).splitlines()), file=sys.stderr)
    sys.exit(code)
