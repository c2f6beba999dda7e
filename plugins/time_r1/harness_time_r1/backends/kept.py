"""Answers kept on disk: a question that was answered is not asked again, after a crash, by another run, or by another metric.

An entry is a small file, named by a hash over all that decides the answer: the backend's identity, the messages, the sampling, the seed.
It holds the answer and a hash of it; one that is cut or changed is as none. Only whole answers are kept (finish "stop" and "length"): an
error or a refusal is asked again. Files are written whole or not at all, so that any number of processes may share a folder. There is no
limit of size: an answer takes 1 to 20 kB. To forget them all, remove the folder.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.cache import cache_folder
from harness.errors import StoreError
from harness.files import expanded_home, other_than_file, write_whole
from harness_time_r1.backends.contract import Answer, Backend, Message, Request

__all__ = ["Kept"]

LOG = logging.getLogger("harness.time_r1")
FORMAT = 1
WHOLE = ("stop", "length")
FIELDS = {"text": str, "finish": str, "prompt_tokens": int, "completion_tokens": int}
WRITING = threading.Lock()
"""Threads of a process would write into one temporary file."""


class Kept:
    """A backend whose answers are kept.

    Args:
        backend: who is asked what is not there.
        folder: where; "" = `time-r1/answers` in the harness's cache.

    Raises:
        UsageError: the folder begins with "~name", and there is no such home.
    """

    def __init__(self, backend: Backend, folder: str | Path = "") -> None:
        self.backend = backend
        self.folder = (
            expanded_home(folder, f"the folder {folder}", "TIME_R1_ANSWERS=FOLDER") if folder else cache_folder() / "time-r1" / "answers"
        )
        self._cached = 0
        self._unwritten = False

    @property
    def identity(self) -> Mapping[str, Any]:
        """The backend's: an answer is the same from here and from there."""
        return self.backend.identity

    @property
    def counts(self) -> Mapping[str, float]:
        """The backend's totals, and what was taken from the folder: "cached" of "requests"."""
        counts = dict(self.backend.counts)
        return counts | {"requests": counts["requests"] + self._cached, "cached": counts["cached"] + self._cached}

    @property
    def context_length(self) -> int | None:
        """The backend's."""
        return self.backend.context_length

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """As the backend."""
        return self.backend.count_tokens(messages)

    def close(self) -> None:
        """Close the backend."""
        self.backend.close()

    def answer(self, requests: Sequence[Request], each: Callable[[int, Answer], object] | None = None) -> list[Answer]:
        """One answer for each request, told to `each` as soon as there is one. Of equal requests one is asked.

        `attempts`, `cost` and `seconds` of an answer from the folder are 0.

        Raises:
            Unsupported: as the backend; what it had answered before is kept.
        """
        places: dict[str, list[int]] = {}
        identity = dict(self.backend.identity)
        for place, request in enumerate(requests):
            places.setdefault(_key(identity, request), []).append(place)
        answers: dict[int, Answer] = {}

        def found(key: str, answer: Answer, fresh: bool) -> None:
            again = Answer(**{**_facts(answer), "error": answer.error, "attempts": 0})
            for k, place in enumerate(places[key]):
                answers[place] = answer if k == 0 else again
                if each is not None:
                    each(place, answers[place])
            self._cached += len(places[key]) - fresh

        missing = []
        for key in places:
            answer = self._read(key)
            if answer is None:
                missing.append(key)
            else:
                found(key, answer, False)

        def fresh(index: int, answer: Answer) -> None:
            self._write(missing[index], answer)
            found(missing[index], answer, True)

        asked = [requests[places[key][0]] for key in missing]
        if asked:
            self.backend.answer(asked, fresh)
        return [answers[place] for place in range(len(requests))]

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key[2:]}.json"

    def _read(self, key: str) -> Answer | None:
        """The answer in a file; None where there is none, or none that is whole."""
        path = self._path(key)
        if other_than_file(path):  # a pipe would be waited for
            return None
        try:
            entry = json.loads(path.read_bytes())
        except (OSError, ValueError, RecursionError):
            return None
        facts = entry.get("answer") if isinstance(entry, dict) else None
        if not isinstance(facts, dict) or entry.get("key") != key or entry.get("hash") != _hash(facts):
            return None
        if set(facts) != set(FIELDS) or not all(type(facts[name]) is kind for name, kind in FIELDS.items()) or facts["finish"] not in WHOLE:
            return None
        if facts["prompt_tokens"] < 0 or facts["completion_tokens"] < 0:
            return None
        return Answer(**facts, attempts=0)

    def _write(self, key: str, answer: Answer) -> None:
        """Keep an answer; where that cannot be done, say so once and go on."""
        if answer.finish not in WHOLE or answer.error:
            return
        facts = _facts(answer)
        path, other = self._path(key), "give another folder: TIME_R1_ANSWERS=FOLDER"
        try:
            with WRITING:
                if what := other_than_file(path):
                    raise StoreError(f"{path} is {what}; remove it, or {other}")
                path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(path, json.dumps({"key": key, "answer": facts, "hash": _hash(facts)}), other)
        except (OSError, StoreError) as error:
            if not self._unwritten:
                LOG.warning("answers are not kept from here on, and will be asked again: %s", error)
            self._unwritten = True


def _facts(answer: Answer) -> dict[str, Any]:
    return {name: getattr(answer, name) for name in FIELDS}


def _key(identity: Mapping[str, Any], request: Request) -> str:
    """64 hexadecimal digits over all that decides an answer."""
    return _hash({"format": FORMAT, "backend": identity, "request": asdict(request)})


def _hash(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
