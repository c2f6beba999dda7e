"""Fetch files from a HuggingFace hub, weights as well as data: which hub it is, whether a file is what it says, its errors in our words.

huggingface_hub fetches, since tokens, terms, and the folders that other tools share are its affair; it is imported when used.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.download import Promised, base_url, disk_hint, status_hint
from harness.errors import Unavailable

__all__ = ["endpoint", "fetch_file", "hub_errors", "promised"]


def endpoint() -> str:
    """The address of the hub: `$HF_ENDPOINT`, else huggingface.co.

    Raises:
        UsageError: that is no address.
    """
    # huggingface_hub reads HF_ENDPOINT when it is imported; whoever set it later means it too.
    return base_url("HF_ENDPOINT", "https://huggingface.co")


def promised(entry: Any) -> Promised:
    """What a listing of huggingface_hub says of a file: its bytes, and the hash of a large one or git's of another."""
    digest, kind = (entry.lfs.sha256, "sha256") if entry.lfs else (entry.blob_id or "", "git")
    return Promised(entry.size or 0, digest, kind, "the hub")


def fetch_file(repo: str, path: str, wanted: Promised, command: str, *, force: bool = False, **options: Any) -> Path:
    """Fetch one file, again where it is not what the hub says; one that is whole is not fetched, unless by force.

    Args:
        command: what to type to try again.
        options: of huggingface_hub: revision, repo_type, local_dir.

    Raises:
        Unavailable: also the second one is not what the hub says; it was removed.
    """
    from huggingface_hub import hf_hub_download

    problem = ""
    # The first may be one that lies there: huggingface_hub trusts its notes, and is content with any where the hub cannot be asked.
    for again in (force, True):
        got = Path(hf_hub_download(repo, path, force_download=again, endpoint=endpoint(), library_name="ts-harness", **options))
        problem = wanted.problem(got)
        if not problem:
            return got
    got.resolve().unlink(missing_ok=True)
    got.unlink(missing_ok=True)
    raise Unavailable(f"{repo}: {path} as it came from {endpoint()} {problem}; it was removed. Try again: {command}", command)


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
        return f"{status_hint(status, 'The hub')}With a token (HF_TOKEN) it answers more often. "
    return status_hint(status, "The hub") or disk_hint(error, elsewhere)
