"""The command `harness serve-model`. Only click is imported here; the rest inside the command."""

from __future__ import annotations

import os
from typing import Any

import click

__all__ = ["serve_model"]

LEAST_TOKEN = 16
"""Characters: `openssl rand -hex 32` makes 64."""


@click.command("serve-model")
@click.argument("model")
@click.option("-M", "--model-args", multiple=True, metavar="[MODEL:]K=V", help="A parameter of the model: -M chronos:weights=FOLDER.")
@click.option("--host", default="127.0.0.1", help="Address to listen on; another than this machine's own needs --token-env.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, help="0 = any free one.")
@click.option(
    "--token-env", default="", show_default=False, metavar="NAME", help="Environment variable with the token that clients must send."
)
@click.option("--max-batch", type=click.IntRange(1, 65536), default=256, help="Windows in one call of the model.")
@click.option(
    "--max-wait-ms", type=click.FloatRange(0, 10_000), default=2.0, help="How long the first request of a batch waits for others."
)
@click.option("--queue", type=click.IntRange(1, 65536), default=128, help="Requests that may wait; more are answered with 503.")
@click.option("--timeout", default="60", metavar="TIME", help="Longest wait of a request, and longest call of the model: 5, 30s, 2m.")
@click.option("--read-timeout", default="15", metavar="TIME", help="Longest time in which a request may arrive.")
@click.option("--max-series", type=click.IntRange(1, 65536), default=256, help="Series in one request.")
@click.option("--max-context", type=click.IntRange(1, 10_000_000), default=100_000, help="Values of one series.")
@click.option("--max-horizon", type=click.IntRange(1, 100_000), default=1024, help="Steps to forecast.")
@click.option("--max-body", type=click.IntRange(1024, 1 << 30), default=8 << 20, help="Bytes of one request.")
@click.option(
    "--isolation",
    type=click.Choice(["auto", "process", "env"]),
    default="auto",
    help="In which environment the model runs; as of harness run.",
)
@click.option("--device", default="cpu", help="Device for a model that has a choice.")
@click.option("--threads", type=click.IntRange(1, 4096), default=None, help="Threads of the model.  [default: cores]")
def serve_model(
    model: str,
    model_args: tuple[str, ...],
    host: str,
    port: int,
    token_env: str,
    timeout: str,
    read_timeout: str,
    isolation: str,
    device: str,
    threads: int | None,
    **sizes: Any,
) -> int:
    """Serve a model over HTTP: POST /v1/forecast, GET /health, /metrics, /v1/models, /openapi.json.

    \b
      harness serve-model seasonal_naive
      curl -H 'Content-Type: application/json' http://127.0.0.1:8000/v1/forecast \\
           -d '{"series": [{"target": [1, 2, 3, 1, 2, 3]}], "freq": "D", "horizon": 3, "season_length": 3}'

    It answers to this machine alone unless --host and --token-env say otherwise. The model runs in a process of its own, which is replaced
    where it crashes or hangs. Exit codes: 0 after SIGTERM, 130 after Ctrl-C, 1 a defect of the
    server, 2 usage (port taken, no token), 3 the model does not load.
    """
    token = _token(token_env)
    seconds = _seconds("--timeout", timeout)
    reading = _seconds("--read-timeout", read_timeout)
    from harness.errors import PluginError, UsageError

    try:
        from harness_serving.server import bound, is_loopback, serve
    except ModuleNotFoundError as error:
        raise PluginError(f"serving needs the package '{error.name}', which is not installed. Type: pip install harness-serving") from error
    from harness.workers import WorkerFailed
    from harness_serving.limits import Limits
    from harness_serving.log import say
    from harness_serving.served import ModelProcess, choose

    limits = Limits(timeout=seconds, read_timeout=reading, **sizes)
    served = choose(model, model_args, isolation, device)
    with bound(host, port) as sock:
        if not token and not is_loopback(sock):
            raise UsageError(
                f"--host {host} can be reached from other machines, and no token is asked for; wanted --token-env NAME, as in: "
                "export SERVE_TOKEN=$(openssl rand -hex 32), and --token-env SERVE_TOKEN"
            )
        say(f"harness: loading {served.name}")
        try:
            return serve(ModelProcess(served, threads or os.cpu_count() or 1, seconds), limits, token, sock)
        except WorkerFailed as error:
            kind = UsageError if error.kind in ("usage", "unsupported") else PluginError
            raise kind(f"model '{served.name}': {error.reason}") from None


def _token(name: str) -> str:
    """The token in an environment variable, which is taken away from there: the model's process need not know it."""
    from harness.errors import UsageError

    if not name:
        return ""
    token = os.environ.pop(name, "").strip()
    if len(token) < LEAST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        got = (
            "there is no such variable, or it is empty"
            if not token
            else f"its value has {len(token)} characters, or others than printable ASCII"
        )
        raise UsageError(
            f"--token-env {name}: {got}; wanted at least {LEAST_TOKEN} printable ones, as in: export {name}=$(openssl rand -hex 32)"
        )
    return token


def _seconds(option: str, text: str) -> float:
    from harness.budget import parse_duration
    from harness.errors import UsageError

    seconds = parse_duration(text)
    if seconds is None or seconds > 86_400:
        raise UsageError(f"got {option} {text!r}; wanted a time of at most a day, as in {option} 30s")
    return seconds
