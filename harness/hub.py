"""What every fetch from a HuggingFace hub needs: which hub it is, and its errors in our words. huggingface_hub is imported when used."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from harness.errors import Unavailable

__all__ = ["endpoint", "hub_errors"]


def endpoint() -> str:
    """The address of the hub: `$HF_ENDPOINT`, else huggingface.co."""
    # huggingface_hub reads HF_ENDPOINT when it is imported; whoever set it later means it too.
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"


@contextmanager
def hub_errors(what: str, command: str, repository: str) -> Iterator[None]:
    """Turn what the hub, the network or the disk says into Unavailable with the command that goes on.

    Args:
        what: what was being done, for the start of the message: "could not fetch x from y".
        command: what to type to go on.
        repository: "dataset org/name" or "model org/name".
    """
    try:
        from huggingface_hub.errors import (
            GatedRepoError,
            HfHubHTTPError,
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
        raise Unavailable(f"{what}: HF_HUB_OFFLINE is set; unset it", command) from None
    except (HfHubHTTPError, HTTPError, OSError) as error:
        first = (str(error).strip() or "no answer").splitlines()[0]
        raise Unavailable(f"{what}: {type(error).__name__}: {first}. {keep}: {command}", command) from error
