"""What every fetch from a HuggingFace hub needs: which hub it is, and its errors in our words. huggingface_hub is imported when used."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager

from harness.errors import Unavailable, UsageError

__all__ = ["endpoint", "hub_errors"]

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENOENT)


def endpoint() -> str:
    """The address of the hub: `$HF_ENDPOINT`, else huggingface.co.

    Raises:
        UsageError: that is no address.
    """
    # huggingface_hub reads HF_ENDPOINT when it is imported; whoever set it later means it too.
    address = os.environ.get("HF_ENDPOINT", "").strip().rstrip("/") or "https://huggingface.co"
    if not address.startswith(("http://", "https://")):
        raise UsageError(f"got HF_ENDPOINT={address!r}; wanted an address that begins with https:// or http://")
    return address


@contextmanager
def hub_errors(what: str, command: str, repository: str, elsewhere: str = "") -> Iterator[None]:
    """Turn what the hub, the network or the disk says into Unavailable with the command that goes on.

    Args:
        what: what was being done, for the start of the message: "could not fetch x from y".
        command: what to type to go on.
        repository: "dataset org/name" or "model org/name".
        elsewhere: how another folder is named where this one is full or closed, for the end of a sentence.
    """
    try:
        from huggingface_hub.errors import (
            GatedRepoError,
            HfHubHTTPError,
            LocalEntryNotFoundError,
            OfflineModeIsEnabled,
            RepositoryNotFoundError,
            RevisionNotFoundError,
        )
    except ImportError as error:
        raise Unavailable(f"{what}: {error}", "pip install huggingface-hub") from None
    try:
        from httpx import HTTPError  # of huggingface_hub 1; the one before raises OSError
    except ImportError:
        HTTPError = OSError  # type: ignore[misc, assignment]  # noqa: N806
    keep = "Whole files are kept; the same command fetches the rest"
    try:
        yield
    except GatedRepoError:
        page = f"{endpoint()}/{repository.rpartition(' ')[2]}"
        raise Unavailable(
            f"{what}: it is gated. Accept its terms at {page}, make a token at {endpoint()}/settings/tokens, "
            f"and: export HF_TOKEN=…; then: {command}",
            command,
        ) from None
    except RevisionNotFoundError:
        raise Unavailable(f"{what}: {repository} has no such revision there (404)", command) from None
    except RepositoryNotFoundError:
        raise Unavailable(f"{what}: there is no {repository} there (404); check HF_ENDPOINT", command) from None
    except OfflineModeIsEnabled:
        raise Unavailable(f"{what}: HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set; unset it, then: {command}", command) from None
    except json.JSONDecodeError as error:  # before OSError: with some versions it is one
        raise Unavailable(
            f"{what}: what answered there is no hub: its answer is no JSON. Check HF_ENDPOINT, and whether a proxy or a page to log in "
            f"stands between; then: {command}",
            command,
        ) from error
    except (HfHubHTTPError, HTTPError, OSError) as error:
        if isinstance(error, LocalEntryNotFoundError) and isinstance(error.__cause__, HfHubHTTPError | HTTPError | OSError):
            error = error.__cause__  # it says only that the file is not here; its cause says why it did not come
        first = (str(error).strip() or "no answer").splitlines()[0].rstrip(". ")
        hint = _hint(error, elsewhere)
        raise Unavailable(f"{what}: {type(error).__name__}: {first}. {hint}{keep}: {command}", command) from error


def _hint(error: BaseException, elsewhere: str) -> str:
    """What to do beside typing the command again, as a sentence; "" where that is not known."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403):
        return f"The token is refused, or there is none: make one at {endpoint()}/settings/tokens and name it in HF_TOKEN. "
    if status == 429:
        return "The hub was asked too often: wait some minutes; with a token (HF_TOKEN) it answers more often. "
    if status is not None and status >= 500:
        return "The hub is in trouble: wait some minutes. "
    number = getattr(error, "errno", None)
    if number in FULL:
        return "The disk has no room, or the file may not be so large: make room" + (f", or {elsewhere}" if elsewhere else "") + ". "
    if number in CLOSED and elsewhere:
        return f"To write there must be allowed; or {elsewhere}. "
    return ""
