#!/usr/bin/env python3
"""Makes a tiny Qwen3 with random weights: a real model to every engine, without a hub and without a GPU.

Owns the model, its tokenizer and its chat template. Does not own serving. What it writes is nonsense by design: it
shows that a kit builds, serves and is measured, and says nothing about speed.

Standard library only, so that it runs on any host. The folder appears whole or not at all, one that is complete is left
alone, and two runs give the same bytes. Exit codes: 0 in place; 1 the folder holds something else; 2 wrong usage.
"""

import argparse
import json
import random
import struct
import sys
import tempfile
from pathlib import Path

SEED = 1
CONTEXT = 40960  # tokens, as in Qwen3
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
HIDDEN, INTERMEDIATE, LAYERS, HEADS, KV_HEADS, HEAD_DIM = (
    64,
    192,
    2,
    4,
    2,
    32,
)  # two KV heads: two nodes can share them

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

# Tokens beyond single bytes, each built up letter by letter so that byte-pair merging finds it.
WORDS = """the of and to in a is that it was for on as with he be by at his this had not are but from or have an they
which one you were her all she there would their we him been has when who will more no if out so said what up its
about into than them can only other new some could time these two may then do first any my now such like our over man
me even most made after also did many before must through back years where much your way well down should because
each just those people how too little state good very make world still own see men work long get here between both
life being under never day same another know while last might us great old year off come since against go came right
used take three def return self import class elif else try except raise lambda None True False int str list dict print
range len open file name value key data path index item result error config model token text type""".split()


def byte_letters():
    """GPT-2's table: a printable letter for each of the 256 bytes, the printable ones standing for themselves."""
    own = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters, extra = {byte: chr(byte) for byte in own}, 256
    for byte in range(256):
        if byte not in letters:
            letters[byte], extra = chr(extra), extra + 1
    return letters


def vocabulary():
    """Token to number, and the merges that make the longer tokens."""
    letters = byte_letters()
    numbers = {token: at for at, token in enumerate([*SPECIAL, *(letters[byte] for byte in range(256))])}
    merges = []
    for word in [*(letters[32] + word for word in WORDS), *WORDS]:
        for end in range(2, len(word) + 1):
            if word[:end] not in numbers:
                numbers[word[:end]] = len(numbers)
                merges.append([word[: end - 1], word[end - 1]])
    while len(numbers) % 64:  # engines like vocabularies that divide well
        numbers[f"<|unused_{len(numbers)}|>"] = len(numbers)
    return numbers, merges


def tokenizer_files(numbers, merges):
    """tokenizer.json (byte-level BPE, as the tokenizers library reads it) and its configuration."""
    special = [token for token in numbers if token.startswith("<|") and token.endswith("|>")]
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": numbers[token], "content": token, **flags} for token in special],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": numbers,
            "merges": merges,
        },
    }
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "model_max_length": CONTEXT,
        "clean_up_tokenization_spaces": False,
        "chat_template": CHAT_TEMPLATE,
    }
    return {"tokenizer.json": tokenizer, "tokenizer_config.json": config}


def model_files(numbers):
    """config.json and generation_config.json of a Qwen3."""
    ends = {"eos_token_id": numbers["<|im_end|>"], "pad_token_id": numbers["<|endoftext|>"]}
    config = {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "vocab_size": len(numbers),
        "hidden_size": HIDDEN,
        "intermediate_size": INTERMEDIATE,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "head_dim": HEAD_DIM,
        "hidden_act": "silu",
        "max_position_embeddings": CONTEXT,
        "rms_norm_eps": 1e-06,
        "rope_theta": 1000000.0,
        "attention_bias": False,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "bos_token_id": None,
        **ends,
    }
    return {"config.json": config, "generation_config.json": ends}


def tensors(vocabulary_size):
    """Name and shape of every weight, in the order of the file."""
    yield "lm_head.weight", (vocabulary_size, HIDDEN)
    yield "model.embed_tokens.weight", (vocabulary_size, HIDDEN)
    for layer in range(LAYERS):
        at = f"model.layers.{layer}"
        yield f"{at}.input_layernorm.weight", (HIDDEN,)
        yield f"{at}.mlp.down_proj.weight", (HIDDEN, INTERMEDIATE)
        yield f"{at}.mlp.gate_proj.weight", (INTERMEDIATE, HIDDEN)
        yield f"{at}.mlp.up_proj.weight", (INTERMEDIATE, HIDDEN)
        yield f"{at}.post_attention_layernorm.weight", (HIDDEN,)
        yield f"{at}.self_attn.k_norm.weight", (HEAD_DIM,)
        yield f"{at}.self_attn.k_proj.weight", (KV_HEADS * HEAD_DIM, HIDDEN)
        yield f"{at}.self_attn.o_proj.weight", (HIDDEN, HEADS * HEAD_DIM)
        yield f"{at}.self_attn.q_norm.weight", (HEAD_DIM,)
        yield f"{at}.self_attn.q_proj.weight", (HEADS * HEAD_DIM, HIDDEN)
        yield f"{at}.self_attn.v_proj.weight", (KV_HEADS * HEAD_DIM, HIDDEN)
    yield "model.norm.weight", (HIDDEN,)


def speakable(token):
    """Whether a token is plain text by itself. Half a character would hold back what an engine streams, and the time
    between tokens would be measured wrong."""
    letters = byte_letters()
    plain = {letters[byte] for byte in (10, *range(32, 127))}
    return not token.startswith("<|") and set(token) <= plain


def weights(numbers):
    """model.safetensors: a length, a JSON header, then bfloat16 numbers (the upper half of float32).

    Random but for one thing: hidden dimension 0 is 1 in every embedding and no layer writes to it, so that the output
    layer can use it to keep tokens that are no plain text from ever being chosen.
    """
    source = random.Random(SEED)
    mute = [not speakable(token) for token in numbers]
    header, data = {"__metadata__": {"format": "pt"}}, bytearray()
    for name, shape in tensors(len(numbers)):
        start = len(data)
        rows, columns = shape if len(shape) > 1 else (1, shape[0])
        for row in range(rows):
            values = [1.0 if len(shape) == 1 else source.gauss(0.0, 0.02) for _ in range(columns)]
            if name == "lm_head.weight":
                values = [-8.0 if mute[row] else 0.0, *(10 * value for value in values[1:])]
            elif name == "model.embed_tokens.weight":
                values[0] = 1.0
            elif row == 0 and name.endswith(("down_proj.weight", "o_proj.weight")):
                values = [0.0] * columns
            data += b"".join(struct.pack("<f", value)[2:] for value in values)
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [start, len(data)]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + bytes(data)


def contents():
    """Every file of the model: name to bytes."""
    numbers, merges = vocabulary()
    described = {**tokenizer_files(numbers, merges), **model_files(numbers)}
    files = {
        name: (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode() for name, content in described.items()
    }
    return {**files, "model.safetensors": weights(numbers)}


def make(output, files):
    """Writes everything into a new folder beside `output`, then renames it."""
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}-") as folder:
        made = Path(folder) / output.name
        made.mkdir(mode=0o755)
        for name, data in files.items():
            (made / name).write_bytes(data)
        made.rename(output)


def say(text):
    """One line of progress."""
    print(f"make_tiny_qwen3: {text}", file=sys.stderr, flush=True)


def main(words):
    """Runs the script; gives the exit code."""
    parser = argparse.ArgumentParser(description="Make a tiny Qwen3 with random weights.")
    parser.add_argument("--output", required=True, type=Path, metavar="DIR")
    output = parser.parse_args(words).output.absolute()
    files = contents()
    if all((output / name).is_file() and (output / name).read_bytes() == data for name, data in files.items()):
        say(f"{output} is in place")
        return 0
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        say(f"error: {output} holds something else; remove it, or name another folder")
        return 1
    make(output, files)
    say(f"made {output}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
