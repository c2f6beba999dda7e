"""What docs/time-r1.md says of the model time-r1 in numbers: `python benchmarks/time_r1.py [--turns 3]`.

Parser: CPU time for answers of a megabyte of several kinds, good ones and such as a broken model writes, 96 values asked for; one thread,
the best turn of each.

Batches: logits of a row computed alone, and the same row among seven others; and, at one shape, with the others in another order and with
other tokens in them. A Qwen2 with random weights, two layers as wide as those of Qwen2.5-0.5B (896, 14 heads, 2 of keys and values), one
thread of a CPU.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from importlib.metadata import version

import torch
from harness_time_r1.parser import parse
from transformers import Qwen2Config, Qwen2ForCausalLM

from harness.threads import one_thread

HORIZON, SIZE = 96, 1_000_000
ROWS, VOCABULARY = 8, 1000
LENGTHS = (1, 7, 64)  # tokens of a row; 1 as for each token of an answer
ANSWERS: dict[str, Callable[[int], str]] = {
    "rows with dates": lambda n: "<answer>" + "2016-07-01 1.5\n" * n + "</answer>",
    "prose": lambda n: "<answer>" + "and so on and so on, 3 by 3\n" * n,
    "rows and prose": lambda n: "<answer>" + "1.5\nthen a rise\n" * n,
    "one line": lambda n: "<answer>" + "1.5 " * n,
    "commas": lambda n: "<answer>" + "1,5,1,5" * n,
    "tags": lambda n: "<think><answer></answer>" * n,
    "half tags": lambda n: "< " * n + "<answer" * n,
    "one long number": lambda n: "<answer>" + "9" * n,
    "brackets": lambda n: "<answer>" + "[" * n,
    "JSON": lambda n: "<answer>" + json.dumps([1.5] * n) + "</answer>",
    "JSON objects": lambda n: "<answer>" + json.dumps([{"t": "2016-07-01", "value": 1.5}] * n) + "</answer>",
}


def read(turns: int) -> None:
    """Print a row for each kind of answer."""
    print("| answer of a megabyte | read as | CPU s |\n|---|---|---|")
    for name, make in ANSWERS.items():
        text = make(SIZE * 1000 // (len(make(2000)) - len(make(1000))))
        spent = []
        for _ in range(turns):
            begun = time.process_time()
            parsed = parse(text, HORIZON)
            spent.append(time.process_time() - begun)
        print(f"| {name} | {parsed.kind} | {min(spent):.3f} |", flush=True)


def batches() -> None:
    """Print a row for each dtype and number of tokens."""
    config = Qwen2Config(
        vocab_size=VOCABULARY, hidden_size=896, intermediate_size=4864, num_hidden_layers=2, num_attention_heads=14, num_key_value_heads=2
    )  # fmt: skip
    print("\n| dtype | tokens | largest logit | alone or among others | others in another order | other tokens in the others |")
    print("|---|---|---|---|---|---|")
    for dtype in (torch.float32, torch.bfloat16):
        torch.manual_seed(0)
        network = Qwen2ForCausalLM(config).to(dtype).eval()
        for length in LENGTHS:
            tokens = torch.randint(0, VOCABULARY, (ROWS, length))
            changed = torch.cat([tokens[:1], torch.randint(0, VOCABULARY, (ROWS - 1, length))])
            with torch.no_grad():
                among = network(tokens).logits.float()  # [rows, tokens, vocabulary]
                alone = torch.cat([network(tokens[k : k + 1]).logits for k in range(ROWS)]).float()
                turned = network(tokens.flip(0)).logits.float().flip(0)
                other = network(changed).logits[0].float()
            apart = [float((a - b).abs().max()) for a, b in ((alone, among), (turned, among), (other, among[0]))]
            said = " | ".join(f"{gap:.1e}" if gap else "0" for gap in apart)
            print(f"| {str(dtype).removeprefix('torch.')} | {length} | {float(among.abs().max()):.2f} | {said} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=3, help="of each answer")
    options = parser.parse_args()
    print(", ".join(f"{name} {version(name)}" for name in ("torch", "transformers")), "\n")
    with one_thread():
        read(options.turns)
        batches()


if __name__ == "__main__":
    main()
