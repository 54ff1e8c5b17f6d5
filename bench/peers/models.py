"""Writes what all systems share: a checkpoint with random weights, its GGUF files, prompts.

A folder holds one model: config.json, model.safetensors and tokenizer.json (a Hugging Face
directory, for treepo and transformers), f32.gguf and bf16.gguf (the same weights for llama.cpp),
prompts.jsonl. No end-of-sequence token is named in the configuration, so that every system decodes
every response to its full length.

  .venv/bin/python models.py 89m FOLDER
"""

import argparse
import json
import os
import random

SPECIAL = ["<pad>", "<eos>", "<unk>"]
QUICKSTART_CHARACTERS = "0123456789+-*=;:! /()"


def write_tokenizer(folder, vocabulary, merges):
    """A BPE tokenizer without pre-tokenization; `vocabulary` starts with the special tokens."""
    added = [
        {"id": i, "content": token, "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False, "special": True}
        for i, token in enumerate(SPECIAL)
    ]
    model = {"type": "BPE", "dropout": None, "unk_token": "<unk>",
             "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": False,
             "byte_fallback": False, "ignore_merges": False,
             "vocab": {token: i for i, token in enumerate(vocabulary)}, "merges": merges}
    tokenizer = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
                 "normalizer": None, "pre_tokenizer": None, "post_processor": None,
                 "decoder": {"type": "Fuse"}, "model": model}
    with open(os.path.join(folder, "tokenizer.json"), "w") as file:
        json.dump(tokenizer, file, ensure_ascii=False)
    with open(os.path.join(folder, "tokenizer_config.json"), "w") as file:
        json.dump({"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>",
                   "eos_token": "<eos>", "unk_token": "<unk>"}, file)


def quickstart():
    """The model of ./quickstart (307 k parameters) with its vocabulary of single characters."""
    from transformers import LlamaConfig

    vocabulary = SPECIAL + list(QUICKSTART_CHARACTERS)
    config = LlamaConfig(
        vocab_size=len(vocabulary), hidden_size=96, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2, intermediate_size=256, max_position_embeddings=128,
        initializer_range=0.06, tie_word_embeddings=True, bos_token_id=None, eos_token_id=None,
        pad_token_id=0)
    return config, vocabulary, [], range(len(SPECIAL), len(vocabulary))


def qwen2_89m():
    """89 M parameters. Tokens are a letter of 8 and a character of 3,554, so that answers that
    are drawn agree with others in some letters and rewards differ."""
    from transformers import Qwen2Config

    letters = "abcdefgh"
    characters = [chr(0x4E00 + i) for i in range(3554)]
    merges = [[letter, character] for letter in letters for character in characters]
    vocabulary = SPECIAL + list(letters) + characters + ["".join(pair) for pair in merges]
    vocabulary += ["x", "y", "z"]
    config = Qwen2Config(
        vocab_size=len(vocabulary), hidden_size=640, num_hidden_layers=16, num_attention_heads=10,
        num_key_value_heads=2, intermediate_size=1728, max_position_embeddings=32768,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6}, initializer_range=0.02,
        tie_word_embeddings=True, bos_token_id=None, eos_token_id=None, pad_token_id=0)
    first = len(SPECIAL) + len(letters) + len(characters)
    return config, vocabulary, merges, range(first, first + len(merges))


SHAPES = {"quickstart": quickstart, "89m": qwen2_89m}


def write_checkpoint(folder, shape):
    """Returns the ids that prompts are drawn from."""
    import torch
    from transformers import AutoModelForCausalLM

    config, vocabulary, merges, drawn = SHAPES[shape]()
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.save_pretrained(folder)
    write_tokenizer(folder, vocabulary, merges)
    return drawn, vocabulary


def write_prompts(path, drawn, vocabulary, count, prompt_tokens, answer_tokens):
    """Lines {"ids", "answer"}. `answer` is a text to compare responses with, for a reward."""
    source = random.Random(1)
    with open(path, "w") as file:
        for _ in range(count):
            ids = source.choices(drawn, k=prompt_tokens)
            answer = "".join(vocabulary[i] for i in source.choices(drawn, k=answer_tokens))
            file.write(json.dumps({"ids": ids, "answer": answer}) + "\n")


def write_batch(path, drawn, prompt_tokens, responses):
    """One query and its trajectories, as one JSON object."""
    source = random.Random(2)
    batch = {"prompt": source.choices(drawn, k=prompt_tokens), "responses": responses,
             "advantages": [source.gauss(0, 1) for _ in responses]}
    with open(path, "w") as file:
        json.dump(batch, file)


def grow_responses(drawn, source, segment_lengths, branching):
    """Responses of a tree: below the root branching[0] segments of segment_lengths[0] tokens, below
    each of these branching[1] of the next length, and so on."""
    if not segment_lengths:
        return [[]]
    responses = []
    for _ in range(branching[0]):
        segment = source.choices(drawn, k=segment_lengths[0])
        below = grow_responses(drawn, source, segment_lengths[1:], branching[1:])
        responses += [segment + rest for rest in below]
    return responses


def write_all(folder, shape):
    """Everything for one shape; a folder that is complete stays as it is."""
    done = os.path.join(folder, "complete-2")  # another name where what is written changes
    if os.path.exists(done):
        return
    os.makedirs(folder, exist_ok=True)
    drawn, vocabulary = write_checkpoint(folder, shape)
    prompts = os.path.join(folder, "prompts.jsonl")
    if shape == "89m":
        from gguf_file import write_gguf

        write_gguf(folder, os.path.join(folder, "f32.gguf"), "f32")
        write_gguf(folder, os.path.join(folder, "bf16.gguf"), "bf16")
        write_prompts(prompts, drawn, vocabulary, count=8, prompt_tokens=256, answer_tokens=128)
        for name, lengths, branching in (("prefix", [256, 256], [1, 16]),
                                         ("tree", [128] * 4, [2] * 4)):
            responses = grow_responses(drawn, random.Random(3), lengths, branching)
            write_batch(os.path.join(folder, f"{name}.json"), drawn, 1024, responses)
    else:
        write_prompts(prompts, drawn, vocabulary, count=256, prompt_tokens=12, answer_tokens=40)
    open(done, "w").close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("folder")
    arguments = parser.parse_args()
    write_all(arguments.folder, arguments.shape)
