"""One request to an OpenAI-compatible endpoint, and what came of it. `openai` is imported when the first one is sent.

The key is read from the environment when it is needed, and is held by no object of ours. It is sent to no other host than the one named: no
redirect is followed. It is taken out of every text that comes back, as it is and in its disguises (`harness_time_r1.backends.disguises`),
before a text is cut.
"""

from __future__ import annotations

import asyncio
import contextvars
import email.utils
import importlib
import logging
import math
import os
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_address
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from harness import UsageError
from harness.errors import describe
from harness_time_r1.backends.disguises import disguises
from harness_time_r1.backends.reply import MOST_LETTERS, error_text

__all__ = ["Key", "Sent", "base_url", "client", "loopback", "post", "printable"]

MOST_BYTES = 8_000_000
"""Of a reply; an answer of 100,000 tokens is a tenth of it."""
LEAST_SECRET = 8
"""A shorter key ("none", "EMPTY") keeps nobody out, and as a text stands in answers by chance."""
TOO_BUSY = (408, 409, 425, 429)
LOGGERS = ("openai", "httpx", "httpx2", "httpcore", "httpcore2")
OURS = contextvars.ContextVar("harness_time_r1_request", default=False)
GENERAL, OPENAI = "TIME_R1_API_KEY", "OPENAI_API_KEY"


class Sent(NamedTuple):
    """What came of a request."""

    status: int = 0  # of HTTP, 0 = there was no reply
    body: bytes = b""
    error: str = ""  # why there is no answer, in one line
    again: bool = False  # another try may do
    wait: float | None = None  # seconds that the endpoint asks for before it
    paid: bool = False  # without an answer, and perhaps to be paid for


class Key:
    """Where the key is: the name of a variable of the environment, "" = no key is sent. Never the key itself.

    Args:
        variable: a name; "" = `TIME_R1_API_KEY` where it is set, and for api.openai.com `OPENAI_API_KEY`.
        host: where it would be sent.

    Raises:
        UsageError: no such variable is set, or it holds what no header can.
    """

    def __init__(self, variable: str, host: str, model: str) -> None:
        if not isinstance(variable, str) or (variable and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,63}", variable)):
            # What was given may be the key.
            raise UsageError(
                f"{model}: key_variable got a text that is no name; wanted the name of the variable that holds the key: {OPENAI}"
            )
        if variable and not os.environ.get(variable):
            raise UsageError(f"{model}: the variable {variable} is not set; wanted the key of {host} in it: export {variable}=…")
        if not variable:
            known = [GENERAL] + ([OPENAI] if host == "api.openai.com" else [])
            variable = next((name for name in known if os.environ.get(name)), "")
        self.variable = variable
        if variable and not re.fullmatch(r"[!-~]+", self.value()):
            raise UsageError(f"{model}: the variable {variable} holds a letter that no key has, or a space; set it again")

    def __repr__(self) -> str:
        return f"Key({self.variable!r})"

    def value(self) -> str:
        """The key, "" where there is none."""
        return os.environ.get(self.variable, "").strip() if self.variable else ""

    def scrubbed(self, text: str) -> str:
        """A text without the key."""
        key = self.value()
        return text if len(key) < LEAST_SECRET else disguises(key).sub("***", text)


def base_url(url: str, model: str) -> str:
    """An address that requests can be sent below, without a slash at its end.

    >>> base_url("http://localhost:8000/v1/chat/completions", "time-r1")
    'http://localhost:8000/v1'

    Raises:
        UsageError: it is none, or holds a password or a query, where keys are hidden.
    """
    wanted = "wanted an address such as http://localhost:8000/v1 or https://api.openai.com/v1"
    if not isinstance(url, str):
        raise UsageError(f"{model}: url got {url!r}; {wanted}")
    if not printable(url) or " " in url:  # which urlsplit leaves out in part
        raise UsageError(f"{model}: url got a text with a blank, a line break or another letter that no address has; {wanted}")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise UsageError(f"{model}: url got a text that is no address; {wanted}") from None
    if "@" in parts.netloc:
        raise UsageError(f"{model}: url got a name or a password before the host {host}; wanted none: the key belongs into the environment")
    if parts.query or parts.fragment:
        raise UsageError(
            f"{model}: url got something behind ? or #, at the host {host}; wanted the address alone, the key in the environment"
        )
    if parts.scheme not in ("http", "https") or not host:
        raise UsageError(f"{model}: url got {url!r}; {wanted}")
    path = parts.path.rstrip("/").removesuffix("/chat/completions").rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path}"


def printable(text: str) -> bool:
    """Whether a text can be shown and sent: no line breaks, no control characters, no half letters; blanks only within it.

    >>> printable("a model"), printable("a\\n"), printable(" a"), printable("\\ud800"), printable("")
    (True, False, False, False, False)
    """
    return bool(text) and text.isprintable() and text == text.strip()


def loopback(url: str) -> bool:
    """Whether an address is on this machine."""
    host = urlsplit(url).hostname or ""
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost" or host.endswith(".localhost")


@asynccontextmanager
async def client(url: str, key: Key, timeout: float) -> AsyncIterator[Any]:
    """An `openai.AsyncOpenAI` for one address."""
    import openai

    _hush()
    value = key.value()
    http = openai.DefaultAsyncHttpxClient(
        follow_redirects=False,
        trust_env=not loopback(url),  # a proxy of the environment is not asked for what is on this machine
        verify=not (loopback(url) and url.startswith("http:")),  # reading all certificates takes a while, and there is nothing to verify
        timeout=timeout,
        event_hooks={"response": [_bounded]},
    )
    headers = {"Accept-Encoding": "identity"}
    made = openai.AsyncOpenAI(
        api_key=value or "none", base_url=url, max_retries=0, timeout=timeout, http_client=http, default_headers=headers
    )
    made.organization = made.project = None  # of the environment, and meant for another host
    token = OURS.set(True)
    try:
        yield made
    finally:
        await http.aclose()
        OURS.reset(token)


async def post(made: Any, key: Key, body: Mapping[str, Any], extra: Mapping[str, Any], timeout: float, wall: Callable[[], float]) -> Sent:
    """Send a request once. Never raises but for being cancelled.

    Args:
        made: the client.
        body: what the package knows by name; `extra` what it does not.
        timeout: seconds from the first byte sent to the last one read.
        wall: seconds since 1970, for a date in Retry-After.
    """
    import openai

    headers = {} if key.value() else {"Authorization": openai.Omit()}
    try:
        async with asyncio.timeout(timeout):
            raw = await made.chat.completions.with_raw_response.create(**body, extra_body=dict(extra) or None, extra_headers=headers)
            return Sent(raw.status_code, raw.content)
    except (TimeoutError, openai.APITimeoutError) as error:
        return Sent(error=f"no whole reply within {timeout:g} s", again=True, paid=_reached(error))
    except openai.APIStatusError as error:
        status = error.status_code
        return _refused(status, key.scrubbed(error_text(error.response.content)), error.response.headers, wall())
    except openai.APIConnectionError as error:
        cause = describe(error.__cause__) if error.__cause__ else "no connection"
        return Sent(error=key.scrubbed(f"the connection failed: {cause}")[:MOST_LETTERS], again=True, paid=_reached(error))
    except _Unwanted as error:
        return Sent(error=str(error), paid=True) if error.status < 300 else _refused(error.status, str(error), error.headers, wall())
    except Exception as error:
        return Sent(error=key.scrubbed(describe(error))[:MOST_LETTERS], paid=True)


def _refused(status: int, said: str, headers: Mapping[str, str], now: float) -> Sent:
    """What came of a request that was answered with another status than 2xx; the status says whether another try may do."""
    again = status in TOO_BUSY or status >= 500
    error = f"HTTP {status}: {said[:MOST_LETTERS]}".rstrip(": ")
    return Sent(status, error=error, again=again, wait=retry_after(headers, now))


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that a reply asks to wait, not below 0; None where it says nothing that can be read.

    >>> retry_after({"retry-after": "7"}, 0.0), retry_after({"retry-after": "Thu, 01 Jan 1970 00:01:00 GMT"}, 50.0)
    (7.0, 10.0)
    >>> retry_after({"retry-after-ms": "250"}, 0.0), retry_after({"retry-after": "nan"}, 0.0), retry_after({}, 0.0)
    (0.25, None, None)
    >>> retry_after({"retry-after-ms": "nan", "retry-after": "1"}, 0.0)
    1.0
    """
    for name, scale in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        text = headers.get(name, "")
        with suppress(ValueError):
            seconds = float(text) / scale
            if math.isfinite(seconds):
                return max(0.0, seconds)
        with suppress(ValueError, TypeError, OverflowError):
            return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - now)
    return None


def _reached(error: BaseException) -> bool:
    """Whether a request may have reached the endpoint that failed so."""
    return type(error.__cause__).__name__ not in ("ConnectError", "ConnectTimeout", "PoolTimeout")


class _Unwanted(Exception):
    """A reply that is not read to its end. Its status and headers are known."""

    def __init__(self, text: str, response: Any) -> None:
        super().__init__(text)
        self.status: int = response.status_code
        self.headers: Mapping[str, str] = response.headers


async def _bounded(response: Any) -> None:
    """Have a reply read no further than is good; called before its body is."""
    if response.headers.get("content-encoding", "").strip().lower() not in ("", "identity"):
        raise _Unwanted("the reply is packed, though none was asked for; some bytes can become very many", response)
    # openai has moved from httpx to httpx2; what a stream must be is in the one that it uses.
    httpx: Any = importlib.import_module(type(response).__module__.partition(".")[0])

    class Bounded(httpx.AsyncByteStream):
        def __init__(self, stream: Any) -> None:
            self.stream = stream

        async def __aiter__(self) -> AsyncIterator[bytes]:
            count = 0
            async for part in self.stream:
                if (count := count + len(part)) > MOST_BYTES:
                    raise _Unwanted(f"the reply is longer than {MOST_BYTES:,} bytes", response)
                yield part

        async def aclose(self) -> None:
            await self.stream.aclose()

    response.stream = Bounded(response.stream)


def _hush() -> None:
    """Keep the libraries' own talk about our requests, headers in it, out of the logs; warnings pass, and so does what is not ours."""
    for name in [name for name in logging.root.manager.loggerDict if name.partition(".")[0] in LOGGERS] + list(LOGGERS):
        logger = logging.getLogger(name)
        if _quietly not in logger.filters:
            logger.addFilter(_quietly)


def _quietly(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING or not OURS.get()
