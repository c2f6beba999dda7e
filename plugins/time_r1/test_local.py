"""Weights on this machine, on tiny random ones of a real class: what is read and refused, and that an answer is its own."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch: Any = pytest.importorskip("torch", reason="torch is not installed: pip install torch")
transformers: Any = pytest.importorskip("transformers", reason="transformers is not installed: pip install 'transformers>=5,<6'")

from harness_time_r1.backends.contract import Answer, Message, Request, Sampling  # noqa: E402
from harness_time_r1.backends.draws import drawn  # noqa: E402
from harness_time_r1.backends.kept import Kept  # noqa: E402
from harness_time_r1.backends.local import Local  # noqa: E402
from harness_time_r1.language_model import CHATML, PLAIN, load_causal, prompt_ids, prompt_text  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
from tiny_qwen import CHAT, make  # noqa: E402

from harness import Unavailable, UsageError  # noqa: E402
from harness.errors import HarnessError  # noqa: E402

ASKED = (Message("system", "Forecast."), Message("user", "1.0 2.5 3.0"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights that nobody changes."""
    return make(tmp_path_factory.mktemp("qwen"))


@pytest.fixture(scope="module")
def local(folder: Path) -> Local:
    return Local(str(folder), batch=4, width=16)


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """Weights to be spoilt."""
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def ask(text: str = "1 2 3", seed: int = 0, **sampling: Any) -> Request:
    return Request((Message("user", text),), Sampling(**({"temperature": 1.0, "top_p": 1.0, "max_tokens": 12} | sampling)), seed)


def same(one: Answer, other: Answer) -> bool:
    return replace(one, seconds=0.0) == replace(other, seconds=0.0)


# What is read


def change(file: Path, **entries: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | entries))


def test_a_folder_is_read(folder: Path) -> None:
    network, tokenizer = load_causal(str(folder))
    assert not network.training and network.dtype == torch.float32 and tokenizer.padding_side == "left" and tokenizer.pad_token
    stored = load_file(folder / "model.safetensors")
    assert all(torch.equal(network.state_dict()[name], value) for name, value in stored.items())
    assert load_causal(str(folder / "config.json"), dtype="bfloat16")[0].dtype == torch.bfloat16
    text = "<|im_start|>system\nForecast.<|im_end|>\n<|im_start|>user\n1.0 2.5 3.0<|im_end|>\n<|im_start|>assistant\n"
    assert prompt_text(tokenizer, ASKED) == text and tokenizer.decode(prompt_ids(tokenizer, ASKED)) == text


def spoilt(folder: Path, what: str) -> None:
    weights, config = folder / "model.safetensors", folder / "config.json"
    tensors = load_file(weights)
    if what == "no weights":
        weights.unlink()
    elif what == "a pickle":
        weights.unlink()
        torch.save(tensors, folder / "pytorch_model.bin")
    elif what == "cut":
        weights.write_bytes(weights.read_bytes()[:1000])
    elif what == "missing":
        del tensors["model.norm.weight"]
        save_file(tensors, weights, metadata={"format": "pt"})
    elif what == "strange":
        save_file(tensors | {"model.layers.9.strange": torch.zeros(2)}, weights, metadata={"format": "pt"})
    elif what == "shape":
        save_file(tensors | {"model.norm.weight": torch.zeros(3)}, weights, metadata={"format": "pt"})
    elif what == "code":
        change(config, auto_map={"AutoModelForCausalLM": "evil.Evil"})
    elif what == "code of the tokenizer":
        change(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.Evil", None]})
    elif what == "a kernel":
        change(config, text_config={"_attn_implementation": "somebody/kernel"})
    elif what == "no class":
        change(config, model_type="nothing-known")
    elif what == "no json":
        config.write_text("{")
    elif what == "no tokenizer":
        for file in [*folder.glob("tokenizer*"), *folder.glob("vocab*"), *folder.glob("*.jinja")]:
            file.unlink()
    elif what == "no tokenizer but its settings":
        (folder / "tokenizer.json").unlink()
    elif what == "a tokenizer without digits":
        kept = json.loads((folder / "tokenizer.json").read_text())
        for digit in "123":
            kept["model"]["vocab"][f"<{digit}>"] = kept["model"]["vocab"].pop(digit)
        (folder / "tokenizer.json").write_text(json.dumps(kept))
    elif what == "another tokenizer":
        make(folder / "more", words=[f"<{k}>" for k in range(50)])
        shutil.copy(folder / "more" / "tokenizer.json", folder / "tokenizer.json")


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("no weights", "holds .*config.json.*; wanted a folder with config.json, model.safetensors and a tokenizer"),
        ("a pickle", "holds .*; wanted a folder with config.json, model.safetensors and a tokenizer"),
        ("cut", "the weights in .* cannot be used: SafetensorError"),
        ("missing", "1 tensors are missing in model.safetensors, model.norm.weight first; fetch or save them again"),
        ("strange", "1 tensors have no place in the network .*, model.layers.9.strange first"),
        ("shape", "the weights in .* cannot be used: "),
        ("code", r"config.json names code to be run \(auto_map\), and none is"),
        ("code of the tokenizer", r"tokenizer_config.json names code to be run \(auto_map\), and none is"),
        ("a kernel", r"config.json names code to be fetched and run \(_attn_implementation: somebody/kernel\)"),
        ("no class", "the weights in .* cannot be used: "),
        ("no json", "config.json cannot be read: it is no JSON"),
        ("no tokenizer", "there is no tokenizer in .*; wanted the tokenizer.json"),
        ("no tokenizer but its settings", "there is no tokenizer in .*; wanted the tokenizer.json"),
        (
            "a tokenizer without digits",
            r"the tokenizer in .* cannot be used: of 'Hello 123.4\\n' it makes \d+ tokens, which read '.*'; wanted",
        ),
        ("another tokenizer", r"the tokenizer in .* has \d+ tokens, the network 263; wanted the tokenizer that"),
    ],
)
def test_what_is_refused(what: str, said: str, copy: Path) -> None:
    spoilt(copy, what)
    with pytest.raises(UsageError, match=f"^time-r1: .*{said}"):
        load_causal(str(copy))


def test_wrong_parameters(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    cases: list[tuple[dict[str, Any], type[HarnessError], str]] = [
        ({"weights": ""}, Unavailable, "the weights of mine (hf:Qwen/Qwen2.5-7B-Instruct) are not on this machine"),
        ({"weights": str(tmp_path / "none")}, Unavailable, "mine: there is no file or folder"),
        ({"weights": 7}, UsageError, "mine: weights got 7; wanted the path of a folder"),
        ({"weights": str(folder / "tokenizer.json")}, UsageError, "weights got the file"),
        ({"dtype": "float8"}, UsageError, "mine: dtype got 'float8'; wanted float32, bfloat16 or float16"),
        ({"device": "gpu"}, UsageError, "mine: device got 'gpu'"),
        ({"adapter": str(folder)}, UsageError, "there is no adapter_config.json in"),
        ({"adapter": str(tmp_path / "none")}, Unavailable, "there is no file or folder"),
    ]
    for options, kind, said in cases:
        with pytest.raises(kind, match=re.escape(said)):
            load_causal(**({"weights": str(folder), "model": "mine"} | options))


def test_published_weights_are_read_from_the_hubs_cache(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    shutil.copytree(folder, tmp_path / "models--an-org--a-model" / "snapshots" / "abc")
    network, _ = load_causal("", source="hf:an-org/a-model@abc")
    assert type(network).__name__ == "Qwen2ForCausalLM"


def test_a_tokenizer_without_a_template_is_given_one(copy: Path) -> None:
    before = prompt_text(load_causal(str(copy))[1], ASKED)
    (copy / "chat_template.jinja").unlink()
    _, tokenizer = load_causal(str(copy))
    assert tokenizer.chat_template == CHATML and prompt_text(tokenizer, ASKED) == before
    text = (copy / "tokenizer.json").read_text()
    (copy / "tokenizer.json").write_text(text.replace("<|im_start|>", "<|some|>").replace("<|im_end|>", "</s>"))
    settings = (copy / "tokenizer_config.json").read_text()
    settings = (
        settings.replace("<|im_start|>", "<|some|>")
        .replace("<|im_end|>", "</s>")
        .replace('"pad_token": "<|endoftext|>"', '"pad_token": null')
    )
    (copy / "tokenizer_config.json").write_text(settings)
    _, tokenizer = load_causal(str(copy))
    assert tokenizer.chat_template == PLAIN and tokenizer.pad_token == "<|endoftext|>" != tokenizer.eos_token
    assert prompt_text(tokenizer, ASKED) == "Forecast.\n\n1.0 2.5 3.0\n\n"
    turns = [{"role": m.role, "content": m.content} for m in (*ASKED, Message("assistant", "4"))]
    assert tokenizer.apply_chat_template(turns, tokenize=False) == "Forecast.\n\n1.0 2.5 3.0\n\n4</s>"


def test_templates_have_their_ways(folder: Path) -> None:
    _, tokenizer = load_causal(str(folder))
    tokenizer.chat_template = "{% set now = strftime_now('%Y-%m-%d') %}{{ now + ', ' + strftime_now('%d %b %Y') }}"
    assert prompt_text(tokenizer, ASKED) == "2024-07-26, 26 Jul 2024"
    refusing = "{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    tokenizer.chat_template = "{% for m in messages %}" + refusing + "{{ m.role + ':' + m.content }}{% endfor %}"
    assert prompt_text(tokenizer, ASKED) == "user:Forecast.\n\n1.0 2.5 3.0"
    with pytest.raises(UsageError, match="refuses the conversation: TemplateError: no system"):
        prompt_text(tokenizer, ASKED[:1])


# Adapters


@pytest.fixture(scope="module")
def adapter(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """Factors that change what comes out, as peft saves them, and logits [1, 8, K] with them."""
    peft = pytest.importorskip("peft", reason="peft is not installed: pip install peft")
    import warnings

    network, _ = load_causal(str(folder))
    with warnings.catch_warnings(), torch.random.fork_rng():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        both = peft.get_peft_model(network, peft.LoraConfig(r=4, target_modules=["q_proj", "down_proj"], task_type="CAUSAL_LM")).eval()
        for name, value in both.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(value, std=0.2)
        target = tmp_path_factory.mktemp("adapter")
        both.save_pretrained(target)
    with torch.inference_mode():
        return target, both(torch.arange(8)[None]).logits


def test_an_adapter_is_merged(folder: Path, adapter: tuple[Path, Any]) -> None:
    factors, wanted = adapter
    network, _ = load_causal(str(folder), adapter=str(factors))
    plain, _ = load_causal(str(folder))
    assert type(network) is type(plain)
    with torch.inference_mode():
        found, without = network(torch.arange(8)[None]).logits, plain(torch.arange(8)[None]).logits
    assert float((found - wanted).abs().max()) < 1e-5 < float((without - wanted).abs().max())


def test_an_adapter_is_no_weights(adapter: tuple[Path, Any]) -> None:
    with pytest.raises(
        UsageError, match=r"holds adapter_config.json: low-rank factors .*; give those as the weights and this folder as the adapter"
    ):
        load_causal(str(adapter[0]))


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"peft_type": "IA3"}, "peft_type='IA3'.*wanted plain LoRA"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights='pissa'; wanted plain LoRA"),
        ({"megatron_config": {"a": 1}}, r"names code to be run \(megatron_config\)"),
        ({"target_modules": ["q_proj"]}, "the adapter in .* does not fit the weights in .*: 4 tensors are in one and not in the other"),
        ({"target_modules": ["nothing"]}, "the adapter in .* cannot be used with the weights"),
        ({"r": 3}, "the adapter in .* cannot be used with the weights .*give the weights that it was trained on"),
    ],
)
def test_what_is_no_adapter_for_these_weights(
    entries: dict[str, Any], said: str, folder: Path, adapter: tuple[Path, Any], tmp_path: Path
) -> None:
    spoiled = Path(shutil.copytree(adapter[0], tmp_path / "spoilt"))
    change(spoiled / "adapter_config.json", **entries)
    with pytest.raises(UsageError, match=said):
        load_causal(str(folder), adapter=str(spoiled))


# Answers


def test_greedy_is_what_the_library_generates(local: Local, folder: Path) -> None:
    network, tokenizer = load_causal(str(folder))
    for text in ("1 2 3", "a longer one, beyond sixteen tokens"):
        ids = torch.tensor([prompt_ids(tokenizer, (Message("user", text),))])
        with torch.inference_mode():
            tokens = network.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=20)[0, ids.shape[1] :]
        (answer,) = local.answer([ask(text, temperature=0.0, max_tokens=20)])
        assert answer.text == tokenizer.decode(tokens, skip_special_tokens=True) and answer.prompt_tokens == ids.shape[1]
        assert (answer.finish, answer.completion_tokens) == (("length", 20) if len(tokens) == 20 else ("stop", len(tokens)))


def test_an_answer_is_the_same_alone_and_in_a_batch(local: Local) -> None:
    generator = np.random.default_rng(0)
    texts = ["".join(generator.choice(list("0123456789. "), size)) for size in generator.integers(1, 40, 6)]
    asked = [
        ask(text, int(seed), temperature=t, top_p=p, max_tokens=int(n))
        for text, seed, t, p, n in zip(
            texts, generator.integers(0, 2**62, 6), [0.0, 0.7, 2.0] * 2, [0.5, 0.5, 1.0, 1.0, 1.0, 0.5], generator.integers(3, 9, 6),
            strict=True,
        )
    ]  # fmt: skip
    together = local.answer(asked)
    alone = [local.answer([request])[0] for request in asked]
    torch.manual_seed(7)  # the global stream takes no part
    assert all(map(same, together, alone)) and all(map(same, local.answer(asked[::-1])[::-1], together))


def test_a_seed_decides_an_answer(local: Local) -> None:
    answers = local.answer([ask(seed=seed) for seed in (1, 2, 3, 2)])
    assert len({answer.text for answer in answers}) == 3 and same(answers[1], answers[3])
    longer = local.answer([ask(seed=2, max_tokens=18)])[0]
    assert longer.text.startswith(answers[1].text.rstrip("\ufffd"))  # the first tokens do not depend on how many there may be


def test_logits_do_not_depend_on_the_other_rows() -> None:
    """Bits of a network as wide as a real small one: rows in another order, and beside other rows."""
    config = transformers.Qwen2Config(
        vocab_size=300, hidden_size=512, intermediate_size=1024, num_hidden_layers=1, num_attention_heads=8, num_key_value_heads=2
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = transformers.Qwen2ForCausalLM(config).eval()
        ids = torch.randint(0, 300, (4, 64))
        others = torch.cat([ids[:1], torch.randint(0, 300, (3, 64))])
    from harness.threads import one_thread

    with one_thread(), torch.inference_mode():
        base, turned, beside = (network(rows).logits for rows in (ids, ids.flip(0), others))
    assert torch.equal(base, turned.flip(0)) and torch.equal(base[0], beside[0])


def test_tokens_are_drawn_by_their_probabilities() -> None:
    logits = torch.log(torch.tensor([[0.1, 0.4, 0.2, 0.3]], dtype=torch.float64)).repeat(2000, 1)
    u = torch.arange(2000, dtype=torch.float64) / 2000

    def shares(temperature: float, top_p: float) -> list[float]:
        full = torch.full((2000,), 1.0, dtype=torch.float64)
        count = Counter(drawn(logits, u, full * temperature, full * top_p).tolist())
        return [count[k] / 2000 for k in range(4)]

    assert shares(1.0, 1.0) == pytest.approx([0.1, 0.4, 0.2, 0.3], abs=1e-3)
    assert shares(1.0, 0.65) == pytest.approx([0, 4 / 7, 0, 3 / 7], abs=1e-3)  # 0.4 + 0.3 reach it
    assert shares(1.0, 1e-9) == [0, 1, 0, 0] == shares(0.0, 1.0)
    half = np.array([0.1, 0.4, 0.2, 0.3]) ** 2
    assert shares(0.5, 1.0) == pytest.approx(half / half.sum(), abs=1e-3)


@pytest.mark.parametrize("top_p", [0.3, 0.65, 0.9, 1.0])
def test_what_is_left_is_what_the_library_leaves(top_p: float) -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(3, 50, generator=generator)
    left = transformers.TopPLogitsWarper(top_p)(None, logits).isfinite() if top_p < 1 else torch.ones_like(logits, dtype=torch.bool)
    u = torch.arange(3000, dtype=torch.float64) / 3000
    for row in range(3):
        rows = logits[row].expand(3000, -1)
        full = torch.ones(3000, dtype=torch.float64)
        found = set(drawn(rows, u, full, full * top_p).tolist())
        assert found == set(left[row].nonzero().squeeze(-1).tolist())


def test_the_end_of_an_answer(local: Local) -> None:
    text = local.answer([ask(seed=5, max_tokens=20)])[0].text
    clean = [letter for letter in text if letter.isprintable() and letter.isascii()]
    stop = clean[len(clean) // 2]
    asked = [ask(seed=5, max_tokens=20), ask(seed=5, max_tokens=20, stop=("never in it", stop)), ask(seed=5, max_tokens=3)]
    whole, stopped, cut = local.answer(asked)
    assert whole.text == text and stopped.text == text[: text.index(stop)] and stopped.finish == "stop"
    assert stopped.completion_tokens < whole.completion_tokens and (cut.finish, cut.completion_tokens) == ("length", 3)


def test_the_token_that_ends_an_answer_is_not_in_it(local: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = local.answer([ask(seed=5)])[0]
    letter = [letter for letter in whole.text if letter.isascii() and letter.isprintable()][-1]
    monkeypatch.setattr(local, "ending", set(local.tokenizer(letter, add_special_tokens=False)["input_ids"]))
    answer = local.answer([ask(seed=5)])[0]
    assert answer.finish == "stop" and answer.text == whole.text[: whole.text.index(letter)]
    assert 1 <= answer.completion_tokens <= whole.completion_tokens


def test_a_reasoning_that_the_template_opens_is_part_of_the_answer(local: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = local.answer([ask(seed=1)])[0]
    assert not plain.text.startswith("<think>")
    monkeypatch.setattr(local.tokenizer, "chat_template", CHAT.replace("assistant\n", "assistant\n<think>\n"))
    assert local.answer([ask(seed=1)])[0].text.startswith("<think>\n")


def test_what_cannot_be_answered_costs_its_request_alone(tmp_path: Path) -> None:
    small = Local(str(make(tmp_path / "small", positions=64)), batch=2, width=16)
    assert small.context_length == 64
    asked = [ask("x" * 60), ask("x" * 20, max_tokens=100, temperature=0.0), ask(max_tokens=0), ask(top_p=0.0), ask()]
    long, cut, none, narrow, good = small.answer(asked)
    count = small.count_tokens(asked[0].messages)
    assert (long.finish, long.attempts) == ("error", 0) and f"the prompt has {count} tokens, and the model takes 64" in long.error
    assert cut.finish in ("length", "stop") and cut.prompt_tokens + cut.completion_tokens <= 64
    assert none.finish == narrow.finish == "error" and "wanted max_tokens of at least 1" in none.error and good.finish != "error"
    assert small.counts["errors"] == 3 and small.counts["requests"] == 5 and small.counts["attempts"] == 2
    small.tokenizer.chat_template = "{{ raise_exception('not today') }}"
    assert small.answer([ask()])[0].error.endswith("refuses the conversation: TemplateError: not today")
    small.close()
    with pytest.raises(UsageError, match="the backend is closed"):
        small.answer([ask()])


def test_the_models_own_advice_takes_no_part(copy: Path, local: Local) -> None:
    change(copy / "generation_config.json", repetition_penalty=9.0, top_k=1, do_sample=True, temperature=9.0, max_new_tokens=2)
    advised = Local(str(copy), batch=4, width=16)
    assert all(map(same, advised.answer([ask(seed=3), ask(temperature=0.0)]), local.answer([ask(seed=3), ask(temperature=0.0)])))


def test_identity_follows_the_content(folder: Path, copy: Path, local: Local, adapter: tuple[Path, Any]) -> None:
    assert json.loads(json.dumps(local.identity)) == local.identity and local.identity["adapter"] == ""
    assert Local(str(copy), batch=4, width=16).identity == local.identity  # wherever it lies
    others = [Local(str(folder), batch=2, width=16), Local(str(folder), batch=4, width=16, dtype="bfloat16")]
    others += [Local(str(folder), str(adapter[0]), batch=4, width=16), Local(str(make(copy, seed=1)), batch=4, width=16)]
    assert len({json.dumps(each.identity) for each in [local, *others]}) == 5
    assert not same(others[2].answer([ask(seed=1)])[0], local.answer([ask(seed=1)])[0])


def test_answers_are_kept(local: Local, tmp_path: Path) -> None:
    kept = Kept(local, tmp_path)
    first, second = kept.answer([ask(seed=1)])[0], kept.answer([ask(seed=1)])[0]
    assert (first.text, first.attempts, second.text, second.attempts) == (second.text, 1, first.text, 0)
