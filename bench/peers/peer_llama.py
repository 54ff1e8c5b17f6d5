"""Samples with llama.cpp through llama-cpp-python's low-level interface; prints one JSON line.

All responses decode together, one batch a step. A query's prompt is decoded once and its keys and
values are handed to the other sequences (llama_memory_seq_cp). --cache separate gives each sequence
a stream of its own, --cache unified keeps all in one buffer.
"""

import argparse
import ctypes
import time

import llama_cpp
import numpy as np

import measuring


CACHE_TYPES = {"f32": 0, "f16": 1, "bf16": 30}  # enum ggml_type; the package does not name bf16


@llama_cpp.llama_log_callback
def silent(level, text, data):
    pass


class Session:
    """A context with room for `streams` sequences of `length` tokens."""

    def __init__(self, model_path, streams, length, cache, threads, cache_type, flash):
        llama_cpp.llama_log_set(silent, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        self.model = llama_cpp.llama_model_load_from_file(
            model_path.encode(), llama_cpp.llama_model_default_params())
        if not self.model:
            raise SystemExit(f"llama.cpp could not load {model_path}")
        self.vocab = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self.model))
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = streams * length
        params.n_batch = params.n_ubatch = 512
        params.n_seq_max = streams
        params.n_threads = params.n_threads_batch = threads
        params.kv_unified = cache == "unified"
        params.type_k = params.type_v = CACHE_TYPES[cache_type]
        params.flash_attn_type = 1 if flash else 0
        params.no_perf = True
        self.context = llama_cpp.llama_init_from_model(self.model, params)
        if not self.context:
            raise SystemExit("llama.cpp could not make a context")
        self.memory = llama_cpp.llama_get_memory(self.context)
        self.batch = llama_cpp.llama_batch_init(512, 0, 1)

    def clear(self):
        llama_cpp.llama_memory_clear(self.memory, True)

    def decode(self, tokens, positions, sequences, wanted):
        """Runs one batch; returns the logits of the rows in `wanted`, ascending: [rows, vocab]."""
        batch, chosen = self.batch, set(wanted)
        batch.n_tokens = len(tokens)
        for i, (token, position, sequence) in enumerate(zip(tokens, positions, sequences)):
            batch.token[i], batch.pos[i] = int(token), position
            batch.n_seq_id[i], batch.seq_id[i][0] = 1, sequence
            batch.logits[i] = i in chosen
        if llama_cpp.llama_decode(self.context, batch) != 0:
            raise SystemExit("llama_decode failed")
        if not wanted:
            return None
        logits = llama_cpp.llama_get_logits(self.context)
        return np.ctypeslib.as_array(logits, shape=(len(wanted), self.vocab))

    def prefill(self, prompt, sequence):
        """Logits of the prompt's last token: [vocab]."""
        for begin in range(0, len(prompt), 512):
            part = prompt[begin:begin + 512]
            last = begin + len(part) == len(prompt)
            logits = self.decode(part, range(begin, begin + len(part)), [sequence] * len(part),
                                 [len(part) - 1] if last else [])
        return logits[0].copy()

    def copy_prompt(self, source, target):
        llama_cpp.llama_memory_seq_cp(self.memory, source, target, -1, -1)


def draw(logits, uniforms):
    """One token for each row, at temperature 1."""
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    sums = np.cumsum(weights, axis=1)
    return [min(int(np.searchsorted(row, u * row[-1], side="right")), len(row) - 1)
            for row, u in zip(sums, uniforms)]


def sample(session, prompts, width, response_tokens, uniforms):
    """Returns the responses: [queries * width][response_tokens]. `uniforms` None: greedy."""
    first_logits = []
    for query, prompt in enumerate(prompts):
        logits = session.prefill(prompt, query * width)
        first_logits += [logits] * width
        for copy in range(1, width):
            session.copy_prompt(query * width, query * width + copy)
    rows = len(prompts) * width
    responses = [[] for _ in range(rows)]
    logits = np.stack(first_logits)
    length = len(prompts[0])
    for step in range(response_tokens):
        if uniforms is None:
            tokens = logits.argmax(axis=1)
        else:
            tokens = draw(logits, uniforms.random(rows, dtype=np.float32))
        for response, token in zip(responses, tokens):
            response.append(int(token))
        if step + 1 < response_tokens:
            logits = session.decode(tokens, [length + step] * rows, range(rows), range(rows))
    return responses


def token_logprobs(session, prompt, response):
    """log softmax of each response token, given what stands before it."""
    logprobs = []
    logits = session.prefill(prompt, 0)
    for step, token in enumerate(response):
        row = logits.astype(np.float64)
        row -= row.max()
        logprobs.append(float(row[token] - np.log(np.exp(row).sum())))
        if step + 1 < len(response):
            logits = session.decode([token], [len(prompt) + step], [0], [0])[0]
    return logprobs


def main():
    parser = measuring.sampling_arguments(__doc__)
    parser.add_argument("--cache", choices=["separate", "unified"], default="separate")
    parser.add_argument("--cache-type", choices=CACHE_TYPES,
                        help="of keys and values; by default f32 for --dtype f32, f16 for bf16, "
                        "which is llama.cpp's own default")
    parser.add_argument("--flash", type=int, choices=[0, 1], default=0,
                        help="llama.cpp's fused attention")
    arguments = parser.parse_args()
    prompts = measuring.read_prompts(arguments.prompts)[:arguments.queries]
    length = len(prompts[0]) + arguments.response_tokens
    streams = 1 if arguments.check else len(prompts) * arguments.width
    # A stream's room is a multiple of 256 cells in llama.cpp.
    session = Session(f"{arguments.model}/{arguments.dtype}.gguf", streams,
                      -(-length // 256) * 256, arguments.cache, arguments.threads,
                      arguments.cache_type or {"f32": "f32", "bf16": "f16"}[arguments.dtype],
                      arguments.flash)
    if arguments.check:
        checked = []
        for prompt in prompts:
            session.clear()
            tokens = sample(session, [prompt], 1, arguments.response_tokens, None)[0]
            session.clear()
            checked.append({"tokens": tokens, "logprobs": token_logprobs(session, prompt, tokens)})
        measuring.print_json({"checked": checked})
        return
    uniforms = np.random.default_rng(1)
    sample(session, prompts, arguments.width, 2, uniforms)  # memory is touched for the first time
    session.clear()
    start = time.perf_counter()
    responses = sample(session, prompts, arguments.width, arguments.response_tokens, uniforms)
    measuring.print_json(
        measuring.sampling_result(arguments, time.perf_counter() - start, responses))


if __name__ == "__main__":
    main()
