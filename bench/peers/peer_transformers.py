"""Samples with transformers' generate (batched, KV cache); prints one JSON line."""

import time

import measuring


def load(arguments):
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(arguments.threads)
    dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[arguments.dtype]
    model = AutoModelForCausalLM.from_pretrained(
        arguments.model, dtype=dtype, attn_implementation=arguments.attention)
    return model.eval()


def generate(model, prompts, width, response_tokens, greedy=False):
    """Token ids with the prompts: [queries * width, prompt + response]."""
    import torch

    choice = {"do_sample": False} if greedy else {
        "do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0,
        "num_return_sequences": width}
    ids = torch.tensor(prompts, device=model.device)
    with torch.no_grad():
        return model.generate(ids, attention_mask=torch.ones_like(ids), eos_token_id=None,
                              pad_token_id=0, max_new_tokens=response_tokens, use_cache=True,
                              **choice)


def check(model, prompts, response_tokens):
    """Greedy tokens and their log-probs."""
    import torch

    checked = []
    for prompt in prompts:
        ids = generate(model, [prompt], 1, response_tokens, greedy=True)
        with torch.no_grad():
            logits = model(ids).logits[0, len(prompt) - 1:-1].double()
        tokens = ids[0, len(prompt):]
        logprobs = logits.log_softmax(-1).gather(1, tokens[:, None])[:, 0]
        checked.append({"tokens": tokens.tolist(), "logprobs": logprobs.tolist()})
    return checked


def main():
    parser = measuring.sampling_arguments(__doc__)
    parser.add_argument("--attention", choices=["eager", "sdpa"], default="sdpa")
    arguments = parser.parse_args()
    model = load(arguments)
    prompts = measuring.read_prompts(arguments.prompts)[:arguments.queries]
    if arguments.check:
        measuring.print_json({"checked": check(model, prompts, arguments.response_tokens)})
        return
    generate(model, prompts[:1], 2, 2)  # not timed: memory and code are touched for the first time
    start = time.perf_counter()
    ids = generate(model, prompts, arguments.width, arguments.response_tokens)
    seconds = time.perf_counter() - start
    responses = ids[:, len(prompts[0]):].tolist()
    measuring.print_json(measuring.sampling_result(arguments, seconds, responses))


if __name__ == "__main__":
    main()
