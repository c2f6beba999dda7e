"""Fetch dataset folders from the HuggingFace hub. huggingface_hub is imported when something is fetched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.download import Promised
from harness.errors import Unavailable
from harness.hub import endpoint, fetch_file, hub_errors, promised
from harness_tasks.gift_eval import Row

__all__ = ["REPOSITORY", "Remote", "fetch", "list_remote"]

REPOSITORY = "Salesforce/GiftEval"


@dataclass(frozen=True)
class Remote:
    """A dataset folder on the hub, at one commit."""

    row: Row
    commit: str
    files: tuple[tuple[str, Promised], ...]  # by path in the repository

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for _, file in self.files)

    def here(self, root: Path) -> bool:
        """Whether this very commit's files are below `root`, unchanged, by the notes that huggingface_hub keeps of what it fetched.

        A note's lines are commit, etag and time; where the layout of the notes is another one, the answer is no and
        huggingface_hub looks itself.
        """
        for path, file in self.files:
            note = root / ".cache" / "huggingface" / "download" / f"{path}.metadata"
            try:
                stat = (root / path).stat()
                commit, _, fetched = note.read_text().splitlines()[:3]
                if stat.st_size != file.size or commit != self.commit or stat.st_mtime > float(fetched) + 1:
                    return False
            except (OSError, ValueError):
                return False
        return True


def list_remote(rows: Sequence[Row]) -> list[Remote]:
    """What the hub has of these rows, at its newest commit.

    Raises:
        Unavailable: the hub cannot be reached, or it lacks the repository or a folder.
    """
    with hub_errors(f"could not list {REPOSITORY} at {endpoint()}", "harness data pull gift-eval", f"dataset {REPOSITORY}"):
        from huggingface_hub import HfApi
        from huggingface_hub.hf_api import RepoFile

        api = HfApi(endpoint=endpoint())
        commit = api.dataset_info(REPOSITORY).sha or "main"
        entries = api.list_repo_tree(REPOSITORY, recursive=True, revision=commit, repo_type="dataset")
        there = {entry.path: promised(entry) for entry in entries if isinstance(entry, RepoFile)}
    remote = []
    for row in rows:
        files = tuple(sorted((path, file) for path, file in there.items() if path.rpartition("/")[0] == row.folder))
        if not files:
            raise Unavailable(f"{REPOSITORY} at {endpoint()} has no folder {row.folder} (commit {commit[:12]}); nothing was fetched")
        remote.append(Remote(row, commit, files))
    return remote


def fetch(item: Remote, root: Path, force: bool = False) -> None:
    """Fetch one folder below `root`, with a progress bar per file on stderr. A connection that breaks is taken up
    where it broke, a few times; when that fails, the files that are whole stay.

    Args:
        item: what to fetch.
        root: the folder below which it goes.
        force: fetch also what is here already.

    Raises:
        Unavailable: the hub cannot be reached or broke off, a file is not what it says, or the disk cannot take it.
    """
    command = f"harness data pull gift-eval {item.row.folder}"
    with hub_errors(f"could not fetch {item.row.folder} from {endpoint()} into {root}", command, f"dataset {REPOSITORY}"):
        for path, file in item.files:
            fetch_file(REPOSITORY, path, file, command, force=force, repo_type="dataset", revision=item.commit, local_dir=root)
