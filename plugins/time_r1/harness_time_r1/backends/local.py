"""A language model on this machine as a backend. torch and transformers are imported when one is made.

An answer does not depend on what else is asked. Rows are continued in batches of one shape: always `batch` rows, the missing ones filled
with a copy that is thrown away, and prompts filled up on the left to the next multiple of `width` tokens, so that the shape of every
product follows from the request and these two numbers, which belong to the identity. Tokens are drawn by the request's own seed
(`harness_time_r1.backends.draws`). On a CPU torch computes on one thread meanwhile, and a row has the same bits whatever the others hold;
on a GPU that is not promised by the libraries, and one token in very many may come out another way.

Of the model's own advice on sampling (generation_config.json: top_k, repetition_penalty and the like) only the tokens that end an answer
are taken; temperature and top_p are the request's.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from harness import UsageError
from harness.errors import describe
from harness.parameters import whole
from harness.threads import one_thread
from harness_time_r1.backends.contract import Answer, Message, Request
from harness_time_r1.language_model import SOURCE, load_causal, model_folders, prompt_ids, prompt_text, quiet

__all__ = ["Local"]

OPENED = "<think>"


class _Task(NamedTuple):
    """A request that can be answered: its place, its tokens, and how many more there may be."""

    place: int
    request: Request
    ids: list[int]
    limit: int
    opened: bool  # the template has begun the reasoning


class Local:
    """A causal language model from a folder.

    Args:
        weights: a folder that `load_causal` reads; "" = the published weights.
        adapter: a folder of low-rank factors for them.
        device: cpu, cuda, cuda:1.
        dtype: float32, bfloat16, float16.
        batch: R, rows that are continued together; part of the identity.
        width: prompts are filled up to multiples of it; part of the identity.
        model, source: as `load_causal`.

    Raises:
        Unavailable, UsageError: as `load_causal`.
    """

    def __init__(
        self,
        weights: str = "",
        adapter: str = "",
        device: str = "cpu",
        dtype: str = "float32",
        batch: int = 8,
        *,
        width: int = 64,
        model: str = "time-r1",
        source: str = SOURCE,
    ) -> None:
        self.batch, self.width, self.model = whole(model, "batch", batch, 1, 4096), whole(model, "width", width, 1, 4096), model
        self.network, self.tokenizer = load_causal(weights, model=model, source=source, device=device, dtype=dtype, adapter=adapter)
        import torch
        import transformers

        from harness.identity import file_digest

        folder, factors = model_folders(weights, model=model, source=source, adapter=adapter)
        self._identity = {
            "kind": "local",
            "weights": file_digest(str(folder)),
            "adapter": file_digest(str(factors)) if factors else "",
            "dtype": dtype,
            "device": device.partition(":")[0],
            "batch": self.batch,
            "width": self.width,
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        }
        self.ending = _ending(self.network, self.tokenizer)
        # What `generate` is not told it takes from here.
        self.network.generation_config = transformers.GenerationConfig()
        self._counts: Counter[str] = Counter()

    @property
    def identity(self) -> Mapping[str, Any]:
        """Digests of the weights and the adapter, dtype, kind of device, the shape of batches, versions of the libraries."""
        return dict(self._identity)

    @property
    def counts(self) -> Mapping[str, float]:
        """Totals since it was made."""
        names = ("requests", "attempts", "cached", "errors", "prompt_tokens", "completion_tokens", "cost")
        return {name: self._counts[name] for name in names}

    @property
    def context_length(self) -> int | None:
        """What the network was made for."""
        found = getattr(self.network.config.get_text_config(), "max_position_embeddings", None)
        return found if isinstance(found, int) and found > 0 else None

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Tokens of a conversation by the tokenizer and its template.

        Raises:
            UsageError: the template refuses the conversation.
        """
        return len(prompt_ids(self.tokenizer, messages))

    def save(self, folder: Path) -> None:
        """Write the network, an adapter merged into it, and its tokenizer, as `load_causal` reads them."""
        if self.network is None:
            raise UsageError(f"{self.model}: the backend is closed; make another one")
        with quiet():
            self.network.save_pretrained(folder)
            self.tokenizer.save_pretrained(folder)

    def close(self) -> None:
        """Give the memory back; it answers no more."""
        self.network = None

    def answer(self, requests: Sequence[Request], each: Callable[[int, Answer], object] | None = None) -> list[Answer]:
        """One answer for each request; `each` is called with the place of a request and its answer once there is one."""
        if self.network is None:
            raise UsageError(f"{self.model}: the backend is closed; make another one")
        answers: dict[int, Answer] = {}

        def done(place: int, answer: Answer) -> None:
            answers[place] = answer
            self._counts.update(requests=1, attempts=answer.attempts, errors=int(answer.finish == "error"))
            self._counts.update(prompt_tokens=answer.prompt_tokens, completion_tokens=answer.completion_tokens)
            if each is not None:
                each(place, answer)

        groups: dict[int, list[_Task]] = {}
        known: dict[tuple[Message, ...], tuple[list[int], bool] | str] = {}  # several samples of a prompt stand beside each other
        for place, request in enumerate(requests):
            if request.messages not in known:
                known[request.messages] = self._prompt(request.messages)
            found = known[request.messages]
            task = found if isinstance(found, str) else self._task(place, request, *found)
            if isinstance(task, str):
                done(place, Answer(finish="error", error=task, attempts=0))
            else:
                groups.setdefault(-(-len(task.ids) // self.width) * self.width, []).append(task)
        with one_thread() if self._identity["device"] == "cpu" else nullcontext():
            for width, tasks in sorted(groups.items()):
                for k in range(0, len(tasks), self.batch):
                    some = tasks[k : k + self.batch]
                    for task, answer in zip(some, self._continued(some, width), strict=True):
                        done(task.place, answer)
        return [answers[place] for place in range(len(requests))]

    def _prompt(self, messages: tuple[Message, ...]) -> tuple[list[int], bool] | str:
        """The tokens of a conversation and whether its end opens the reasoning; or why there are none."""
        try:
            opened = prompt_text(self.tokenizer, messages).rstrip().endswith(OPENED)
            return prompt_ids(self.tokenizer, messages), opened
        except Exception as error:  # a template is a stranger's program
            return describe(error)

    def _task(self, place: int, request: Request, ids: list[int], opened: bool) -> _Task | str:
        """A request with what it takes; or why it cannot be answered."""
        sampling, limit = request.sampling, self.context_length
        if sampling.max_tokens < 1 or sampling.temperature < 0 or not 0 < sampling.top_p <= 1:
            return f"got {sampling}; wanted max_tokens of at least 1, temperature of at least 0, top_p above 0 and at most 1"
        if not ids:
            return "the conversation is empty"
        if limit is not None and len(ids) >= limit:
            return f"the prompt has {len(ids)} tokens, and the model takes {limit} with the answer; shorten it"
        return _Task(place, request, ids, min(sampling.max_tokens, (limit or len(ids) + sampling.max_tokens) - len(ids)), opened)

    def _continued(self, tasks: list[_Task], width: int) -> list[Answer]:
        """The answers of up to R requests whose prompts are filled up to W tokens."""
        import torch
        from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList

        from harness_time_r1.backends.draws import Draws, Ends, Row

        began, device = time.monotonic(), self.network.device
        rows = [Row(task.request.sampling, task.request.seed, task.limit) for task in tasks]
        rows += [Row(tasks[0].request.sampling, 0, 0)] * (self.batch - len(tasks))
        ids = torch.full((self.batch, width), self.tokenizer.pad_token_id, dtype=torch.long)  # [R, W]
        mask = torch.zeros_like(ids)
        for k, task in enumerate(tasks + [tasks[0]] * (self.batch - len(tasks))):
            ids[k, width - len(task.ids) :] = torch.tensor(task.ids)
            mask[k, width - len(task.ids) :] = 1
        ends = Ends(rows, width, self.ending, self.tokenizer)
        options = GenerationConfig(
            do_sample=False,
            max_new_tokens=max(row.limit for row in rows),
            pad_token_id=self.tokenizer.pad_token_id,
            eos_token_id=None,  # `Ends` sees to them, and to whose they are
            use_cache=True,
        )
        with quiet(), torch.inference_mode():
            found = self.network.generate(
                ids.to(device),
                attention_mask=mask.to(device),
                generation_config=options,
                logits_processor=LogitsProcessorList([Draws(rows, width, device)]),
                stopping_criteria=StoppingCriteriaList([ends]),
            )[:, width:].tolist()  # [R, t]
        seconds = time.monotonic() - began
        return [self._answer(task, found[k][: ends.lengths[k]], ends.finishes[k], seconds) for k, task in enumerate(tasks)]

    def _answer(self, task: _Task, tokens: list[int], finish: str, seconds: float) -> Answer:
        written = tokens[:-1] if tokens and tokens[-1] in self.ending else tokens
        text = self.tokenizer.decode(written, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        places = [place for stop in task.request.sampling.stop if (place := text.find(stop)) >= 0]
        text = text[: min(places)] if places else text
        return Answer(
            text=f"{OPENED}\n{text}" if task.opened else text,
            finish=finish,
            prompt_tokens=len(task.ids),
            completion_tokens=len(tokens),
            seconds=seconds,
        )


def _ending(network: Any, tokenizer: Any) -> set[int]:
    """The tokens that end an answer, by the tokenizer and the model's own files."""
    found: set[int] = set()
    for named in (tokenizer.eos_token_id, network.config.eos_token_id, network.generation_config.eos_token_id):
        found |= set(named) if isinstance(named, list | tuple) else {named} if isinstance(named, int) else set()
    return found
