"""A causal language model and its tokenizer from a folder on this machine. torch, transformers and peft are imported when one is read.

A folder holds `config.json`, `model.safetensors` (or several, and an index of them) and the tokenizer's files, as published or as
`save_pretrained` writes them. It is read under its absolute path, so that it is never taken for the name of a repository, and nothing is
fetched. What the libraries would do silently is refused: to run code that a file names, to read a pickle, to follow the name of a base
model, to put random numbers in the place of missing tensors.

An adapter is a folder of low-rank factors that peft wrote. It is merged into the weights: what comes back is one plain network.

A tokenizer without a chat template is given one, and keeps it where it is saved: ChatML where it has the tokens `<|im_start|>` and
`<|im_end|>`; else the turns as they are, a blank line behind each, the token that ends a text behind an answer.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import UsageError
from harness.errors import describe
from harness.mappings import read_object
from harness.parameters import check_device, check_gpu, choice
from harness.weights import weights_folder
from harness_time_r1.backends.contract import Message

__all__ = ["CHATML", "DTYPES", "PLAIN", "SOURCE", "load_causal", "model_folders", "prompt_ids", "prompt_text", "quiet", "with_factors"]

DTYPES = ("float32", "bfloat16", "float16")
SOURCE = "hf:Qwen/Qwen2.5-7B-Instruct"
"""What Time-R1 was trained from."""
ADAPTER = ("adapter_config.json", "adapter_model.safetensors")
CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
PLAIN = "{% for m in messages %}{{ m['content'] + (eos_token or '' if m['role'] == 'assistant' else '\\n\\n') }}{% endfor %}"
PADS = ("<|endoftext|>", "<pad>", "<|pad|>", "[PAD]", "<|finetune_right_pad_id|>", "<unk>")
"""Tokens that may fill rows up, in this order; better than the one that ends an answer, which a training must learn."""
VOCABULARIES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "tekken.json")
"""Files that make a tokenizer, one of which there must be."""
PLAIN_TEXT = "Hello 123.4\n"
TODAY = (
    "{%- macro strftime_now(format) -%}"
    "{{ format.replace('%Y', '2024').replace('%m', '07').replace('%d', '26').replace('%B', 'July').replace('%b', 'Jul') }}"
    "{%- endmacro -%}"
)
"""What stands before a template that asks for the date: a prompt must not change over night."""


def load_causal(
    weights: str, *, model: str = "time-r1", source: str = SOURCE, device: str = "cpu", dtype: str = "float32", adapter: str = ""
) -> tuple[Any, Any]:
    """The network of a folder, in evaluation mode, and its tokenizer: it pads on the left, has a template and a token to pad with.

    Args:
        weights: a folder; "" = the published weights of `source`, where they have been fetched.
        model: the model's name, for what is said.
        source: "hf:org/repo" with or without "@revision".
        device: cpu, cuda, cuda:1.
        dtype: what the network holds and computes in.
        adapter: a folder of low-rank factors for these weights, "" = none.

    Raises:
        Unavailable: there is no such folder, or the published weights have not been fetched.
        UsageError: it does not hold such a network, must not be read, or a parameter makes no sense; a package is missing.
    """
    choice(model, "dtype", dtype, DTYPES)
    check_device(model, device)
    _packages(model, adapter)
    check_gpu(model, device)
    folder, factors = model_folders(weights, model=model, source=source, adapter=adapter)
    network = _network(folder, model, device, dtype)
    tokenizer = tokenizer_of(folder, model)
    known = network.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > known:
        raise UsageError(
            f"{model}: the tokenizer in {folder} has {len(tokenizer)} tokens, the network {known}; "
            "wanted the tokenizer that the network was trained with"
        )
    if factors is not None:
        network = with_factors(network, factors, folder, model=model)
    return network.eval(), tokenizer


def model_folders(weights: str, *, model: str = "time-r1", source: str = SOURCE, adapter: str = "") -> tuple[Path, Path | None]:
    """The folders of the weights and of the adapter, absolute and looked through; nothing heavy is imported.

    Raises:
        Unavailable, UsageError: as `load_causal`.
    """
    for name, value in (("weights", weights), ("adapter", adapter)):
        if not isinstance(value, str):
            raise UsageError(f"{model}: {name} got {value!r}; wanted the path of a folder")
    folder = weights_folder(weights, source=source, model=model).absolute()
    folder = folder.parent if folder.name in ("config.json", "model.safetensors") and folder.is_file() else folder
    _check_weights(folder, model)
    factors = weights_folder(adapter, source="", model=model).absolute() if adapter else None
    if factors is not None:
        factors = factors.parent if factors.name in ADAPTER and factors.is_file() else factors
        _check_adapter(factors, model)
    return folder, factors


def _packages(model: str, adapter: str) -> None:
    import importlib.util

    for name in ("torch", "transformers", "safetensors", *(["peft"] if adapter else [])):
        if importlib.util.find_spec(name) is None:
            raise UsageError(f"{model}: weights on this machine need the package {name}: pip install 'harness-time-r1[local]'")


def _check_weights(folder: Path, model: str) -> None:
    """Whether a folder holds weights that may be read."""
    wanted = "wanted a folder with config.json, model.safetensors and a tokenizer, as published or as save_pretrained writes it"
    if not folder.is_dir():
        raise UsageError(f"{model}: weights got the file {folder}; {wanted}")
    if (folder / ADAPTER[0]).exists():
        base = read_object(folder / ADAPTER[0], model).get("base_model_name_or_path") or "not named in it"
        raise UsageError(
            f"{model}: weights got {folder}, which holds adapter_config.json: low-rank factors for other weights ({base}); give those as "
            f"the weights and this folder as the adapter: -M {model}:weights=FOLDER -M {model}:adapter={folder}"
        )
    # Where transformers finds neither of these two, it goes on to look for a pickle.
    if not (folder / "config.json").is_file() or not any(
        (folder / name).is_file() for name in ("model.safetensors", "model.safetensors.index.json")
    ):
        inside = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
        raise UsageError(f"{model}: {folder} holds {inside}; {wanted}")
    for name in ("config.json", "tokenizer_config.json"):
        found = read_object(folder / name, model) if name == "config.json" or (folder / name).exists() else {}
        if "auto_map" in found:
            raise UsageError(f"{model}: {folder / name} names code to be run (auto_map), and none is; take that entry out")
        if kernel := _fetched(found):
            raise UsageError(f"{model}: {folder / name} names code to be fetched and run ({kernel}), and none is; take that entry out")


def _fetched(config: object) -> str:
    """How a configuration names an implementation of attention that lies on the hub; "" where it names none."""
    if isinstance(config, Mapping):
        for key, value in config.items():
            if "attn_implementation" in str(key) and "/" in str(value):
                return f"{key}: {value}"
            if found := _fetched(value):
                return found
    return ""


def _check_adapter(folder: Path, model: str) -> None:
    """Whether a folder holds low-rank factors that may be read."""
    for name in ADAPTER:
        if not (folder / name).is_file():
            raise UsageError(f"{model}: there is no {name} in {folder}; wanted a folder that peft's save_pretrained wrote")
    config = read_object(folder / ADAPTER[0], model)
    kind, start = config.get("peft_type"), config.get("init_lora_weights", True)
    if kind != "LORA" or not (isinstance(start, bool) or start == "gaussian"):
        raise UsageError(f"{model}: the adapter in {folder} has peft_type={kind!r}, init_lora_weights={start!r}; wanted plain LoRA")
    for key in ("auto_mapping", "megatron_config"):  # peft imports modules by what these say
        if config.get(key):
            raise UsageError(f"{model}: {folder / ADAPTER[0]} names code to be run ({key}), and none is; take that entry out")


def _network(folder: Path, model: str, device: str, dtype: str) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    options: dict[str, Any] = {} if device == "cpu" else {"device_map": {"": device}}  # straight to the GPU, no copy on the way
    cuda = [] if device == "cpu" else [torch.device(device)]
    try:
        # What a file lacks is drawn at random before it is refused below.
        with quiet(), torch.random.fork_rng(devices=cuda):
            network, report = AutoModelForCausalLM.from_pretrained(
                str(folder),
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                dtype=getattr(torch, dtype),
                output_loading_info=True,
                **options,
            )
    except (MemoryError, ModuleNotFoundError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # transformers and safetensors have their own
        raise UsageError(f"{model}: the weights in {folder} cannot be used: {describe(error)[:400]}") from error
    for key, what in (("missing_keys", "are missing in"), ("unexpected_keys", "have no place in the network of config.json beside")):
        if names := sorted(report[key]):
            raise UsageError(
                f"{model}: the weights in {folder} cannot be used: {len(names)} tensors {what} model.safetensors, {names[0]} first; "
                "fetch or save them again"
            )
    return network


def tokenizer_of(folder: Path, model: str) -> Any:
    from transformers import AutoTokenizer

    wanted = "wanted the tokenizer.json and tokenizer_config.json of the network beside its weights"
    # tokenizer_config.json alone is none: transformers would make one that knows the special tokens and no letter.
    if not any((folder / name).is_file() for name in VOCABULARIES):
        raise UsageError(f"{model}: there is no tokenizer in {folder}; {wanted}")
    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False, padding_side="left")
    except (MemoryError, ModuleNotFoundError):
        raise
    except Exception as error:
        raise UsageError(f"{model}: the tokenizer in {folder} cannot be used: {describe(error)[:400]}; {wanted}") from error
    tokenizer.padding_side = "left"  # whatever its own files say: answers grow to the right
    _check_reads(tokenizer, folder, model, wanted)
    known = tokenizer.get_vocab()
    if tokenizer.pad_token_id is None:
        free = [token for token in PADS if token in known and token != tokenizer.eos_token]
        tokenizer.pad_token = free[0] if free else tokenizer.eos_token or tokenizer.convert_ids_to_tokens(0)
    if not tokenizer.chat_template:
        tokenizer.chat_template = CHATML if {"<|im_start|>", "<|im_end|>"} <= set(known) else PLAIN
    return tokenizer


def _check_reads(tokenizer: Any, folder: Path, model: str, wanted: str) -> None:
    """Whether a tokenizer has tokens for what a prompt is made of. Blanks and the case of letters are its own affair."""
    try:
        ids = tokenizer(PLAIN_TEXT, add_special_tokens=False)["input_ids"]
        back = tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    except (MemoryError, ModuleNotFoundError):
        raise
    except Exception as error:
        raise UsageError(f"{model}: the tokenizer in {folder} cannot be used: {describe(error)[:400]}; {wanted}") from error
    if "".join(back.split()).casefold() != "".join(PLAIN_TEXT.split()).casefold():
        raise UsageError(
            f"{model}: the tokenizer in {folder} cannot be used: of {PLAIN_TEXT!r} it makes {len(ids)} tokens, which read {back[:80]!r}; "
            f"{wanted}"
        )


def with_factors(network: Any, factors: Path, folder: Path, *, model: str = "time-r1", learning: bool = False) -> Any:
    """The network with an adapter, each tensor of which was read: peft by itself draws those that are missing at random.

    Args:
        factors: the adapter's folder, looked through by `model_folders`.
        folder: that of the network, for what is said.
        model: who is speaking.
        learning: whether the factors are to be trained: a peft model comes back; else one plain network that they are merged into.

    Raises:
        UsageError: the adapter is not of this network, or is not whole.
    """
    import torch
    from peft import PeftModel, get_peft_model_state_dict
    from safetensors import safe_open

    cuda = [network.device] if network.device.type == "cuda" else []
    try:
        # As in `_network`: what is drawn at random is overwritten, or refused.
        with quiet(), warnings.catch_warnings(), torch.random.fork_rng(devices=cuda):
            warnings.simplefilter("ignore")  # what it warns of is refused below
            both = PeftModel.from_pretrained(network, str(factors), is_trainable=learning, torch_device=str(network.device))
            wanted = set(get_peft_model_state_dict(both, save_embedding_layers=False))
            with safe_open(factors / ADAPTER[1], framework="pt") as tensors:
                stored = set(tensors.keys())
            # A whole embedding may be kept beside the factors.
            others = {f"base_model.model.{name.replace('.base_layer', '')}" for name in both.base_model.model.state_dict()}
            if strange := sorted((wanted - stored) | (stored - wanted - others)):
                raise UsageError(
                    f"{model}: the adapter in {factors} does not fit the weights in {folder}: {len(strange)} tensors are in one and not in "
                    f"the other, {strange[0]} first; give the weights that it was trained on"
                )
            return both if learning else both.merge_and_unload()
    except (MemoryError, ModuleNotFoundError, UsageError):
        raise
    except Exception as error:
        raise UsageError(
            f"{model}: the adapter in {factors} cannot be used with the weights in {folder}: {describe(error)[:400]}; give the weights "
            "that it was trained on"
        ) from error


def prompt_text(tokenizer: Any, messages: Sequence[Message]) -> str:
    """A conversation by the tokenizer's template, up to where the answer begins.

    A template that knows no system turn gets it at the head of the first turn of the user. One that asks for the date is told a fixed one.

    Raises:
        UsageError: the template refuses the conversation otherwise.
    """
    from jinja2 import TemplateError

    turns = [{"role": message.role, "content": message.content} for message in messages]
    try:
        return _rendered(tokenizer, turns)
    except TemplateError as error:
        if [turn["role"] for turn in turns[:2]] == ["system", "user"]:
            first = {"role": "user", "content": f"{turns[0]['content']}\n\n{turns[1]['content']}"}
            with contextlib.suppress(TemplateError):
                return _rendered(tokenizer, [first, *turns[2:]])
        raise UsageError(f"the tokenizer's chat template refuses the conversation: {describe(error)}") from error


def _rendered(tokenizer: Any, turns: list[dict[str, str]]) -> str:
    template = tokenizer.get_chat_template()
    dated = TODAY + template if "strftime_now" in template else template
    text = tokenizer.apply_chat_template(turns, chat_template=dated, tokenize=False, add_generation_prompt=True)
    return str(text)


def prompt_ids(tokenizer: Any, messages: Sequence[Message]) -> list[int]:
    """The tokens of `prompt_text`: the template has written the special ones, and none is added."""
    return list(tokenizer(prompt_text(tokenizer, messages), add_special_tokens=False)["input_ids"])


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No progress bars and remarks of transformers while this lasts: they would fill a cell's log."""
    from transformers.utils import logging

    shown, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()
