#!/usr/bin/env python3
"""Makes a tiny Qwen3 with random weights: a real model to every engine, without a hub and without a GPU.

Owns the model, its tokenizer (trained here, on text made here) and its chat template. Does not own serving.
What it writes talks nonsense by design: it shows that a kit builds, serves and is measured, nothing more.

The folder appears whole or not at all, and one that is complete is left alone. Two runs with equal versions
of torch, transformers and tokenizers give the same bytes. Needs these three packages; fetches nothing.
Exit codes: 0 in place; 1 the folder holds something else; 2 wrong usage; 3 a package is missing.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NEEDED = ("torch", "transformers", "tokenizers")
FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
SEED = 1
VOCABULARY = 4096  # tokens, the three special ones included
CONTEXT = 40960  # tokens, as in Qwen3
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")

# How Qwen3 splits text before byte-pair encoding; from the tokenizer.json of its checkpoints.
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)

# ChatML with Qwen3's switch: enable_thinking=false puts an empty thought before the answer.
CHAT_TEMPLATE = """\
{%- for message in messages -%}
{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\\n' -}}
{%- if enable_thinking is defined and enable_thinking is false -%}
{{- '<think>\\n\\n</think>\\n\\n' -}}
{%- endif -%}
{%- endif -%}
"""

# The training text: these words, and made-up ones from these syllables, the earlier ones more often.
WORDS = """
the of and to in a is that it was for on as with he be by at his this had not are but from or have an they
which one you were her all she there would their we him been has when who will more no if out so said what
up its about into than them can only other new some could time these two may then do first any my now such
like our over man me even most made after also did many before must through back years where much your way
well down should because each just those people how too little state good very make world still own see men
work long get here between both life being under never day same another know while last might us great old
year off come since against go came right used take three def return self import class if else elif for
while try except raise with lambda None True False int str list dict print range len open file name value
key data path index item result error config model token text type
"""
SYLLABLES = """
an er in on re en at or es ti al te st ar nd to it se le ve co me de ne ra ro li ri io ic ma si pe ca la us
el no di lo mo ch tr pl gr un ex com pro con ing tion ment ness able ful ship ward ist ism ous ent ant ure
age ity
"""
SIGNS = (". ", ", ", "; ", ":\n    ", " = ", "(", ")\n", "[0]", " == ", " + ", "_", "\n\n", " - ", "? ", "! ")


def training_text() -> Iterator[str]:
    """Lines of words, signs and numbers, the same on every machine and under every version of Python."""
    state = SEED

    def below(bound: int) -> int:
        nonlocal state
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64  # Knuth's MMIX generator
        return (state >> 33) % bound

    words, syllables = WORDS.split(), SYLLABLES.split()
    made_up = ["".join(syllables[below(len(syllables))] for _ in range(2 + below(3))) for _ in range(6000)]
    for _ in range(20000):
        line = []
        for _ in range(8 + below(8)):
            source = words if below(3) else made_up
            word = source[below(below(len(source)) + 1)]
            line.append(word.capitalize() if below(9) == 0 else word)
            line.append(SIGNS[below(len(SIGNS))] if below(6) == 0 else " ")
        yield "".join(line) + str(below(100000)) + "\n"


def make_tokenizer() -> Any:
    """A byte-level BPE tokenizer with ChatML's special tokens, as a transformers tokenizer."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in SPECIAL],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(training_text(), trainer)
    if tokenizer.get_vocab_size() != VOCABULARY:
        raise RuntimeError(f"the training text gave {tokenizer.get_vocab_size()} tokens, not {VOCABULARY}")
    end_of_text, _, end_of_turn = SPECIAL
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=end_of_turn,
        pad_token=end_of_text,
        chat_template=CHAT_TEMPLATE,
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )


def make_model() -> Any:
    """A Qwen3 of two layers and hidden size 64, about 0.4 million random weights in bfloat16."""
    import torch
    from transformers import GenerationConfig, Qwen3Config, Qwen3ForCausalLM

    numbers = {token: number for number, token in enumerate(SPECIAL)}
    config = Qwen3Config(
        vocab_size=VOCABULARY,
        hidden_size=64,
        intermediate_size=192,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,  # two, so that two nodes can share them
        head_dim=32,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=numbers["<|im_end|>"],
        pad_token_id=numbers["<|endoftext|>"],
    )
    torch.manual_seed(SEED)
    model = Qwen3ForCausalLM(config).to(torch.bfloat16)
    model.generation_config = GenerationConfig(
        eos_token_id=[numbers["<|im_end|>"], numbers["<|endoftext|>"]],
        pad_token_id=numbers["<|endoftext|>"],
    )
    return model


def make(output: Path) -> None:
    """Writes model and tokenizer into a new folder beside `output`, then renames it."""
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}-") as folder:
        made = Path(folder) / output.name
        make_tokenizer().save_pretrained(made)
        make_model().save_pretrained(made)
        missing = [name for name in FILES if not (made / name).is_file()]
        if missing:
            raise RuntimeError(f"save_pretrained wrote no {', '.join(missing)}")
        for file in made.iterdir():
            file.chmod(0o644)  # safetensors writes 0600: a container with another user could not read it
        made.rename(output)


def say(text: str) -> None:
    """One line of progress."""
    print(f"make_tiny_qwen3: {text}", file=sys.stderr, flush=True)


def main(words: list[str]) -> int:
    """Runs the script; gives the exit code."""
    parser = argparse.ArgumentParser(description="Make a tiny Qwen3 with random weights.")
    parser.add_argument("--output", required=True, type=Path, metavar="DIR")
    output = parser.parse_args(words).output.absolute()
    if all((output / name).is_file() for name in FILES):
        say(f"{output} is in place")
        return 0
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        say(f"error: {output} holds something else; remove it, or name another folder")
        return 1
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        say(f"error: not installed for {sys.executable}: {', '.join(missing)}")
        return 3
    os.environ["HF_HUB_OFFLINE"] = "1"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the unfinished folder is removed
    say(f"making {output}")
    make(output)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
