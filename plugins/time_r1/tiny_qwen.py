"""Tiny Qwen2 networks with random weights and a tokenizer of single bytes, made for tests: some thousand parameters, real classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import pre_tokenizers
from transformers import Qwen2Config, Qwen2ForCausalLM, Qwen2Tokenizer

__all__ = ["CHAT", "make"]

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
CHAT = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def make(
    folder: Path,
    *,
    words: Sequence[str] = ("<think>", "</think>", "<answer>", "</answer>"),
    layers: int = 2,
    width: int = 64,
    heads: int = 4,
    positions: int = 4096,
    seed: int = 0,
) -> Path:
    """Save a network and its tokenizer into `folder`, as `from_pretrained` reads them; `words` are tokens of their own."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())  # the 256 bytes, each as a printable character
    vocabulary = {token: number for number, token in enumerate([*SPECIAL, *letters])}
    tokenizer = Qwen2Tokenizer(
        vocab=vocabulary, merges=[], unk_token=SPECIAL[0], eos_token=SPECIAL[2], pad_token=SPECIAL[0], padding_side="left"
    )
    tokenizer.add_special_tokens({"additional_special_tokens": [SPECIAL[1]]})
    tokenizer.add_tokens(list(words))
    tokenizer.chat_template = CHAT
    tokenizer.model_max_length = positions
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=max(1, heads // 2),
        max_position_embeddings=positions,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=vocabulary[SPECIAL[2]],
        pad_token_id=0,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = Qwen2ForCausalLM(config)
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
