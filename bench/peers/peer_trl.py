"""Trains with TRL's GRPOTrainer on the CPU; prints one JSON line.

update: loss, backward and optimiser step on the trajectories of --batch, as the trainer's own
methods do them, without sampling. iteration: what `trainer.train()` does for one batch of
queries: transformers' generate, reward, log-probs before the update, updates.
"""

import argparse
import contextlib
import json
import os
import statistics
import tempfile
import time

import measuring


def reward_matches(completions, answer, **kwargs):
    """Share of characters that agree with the answer's."""
    return [sum(a == b for a, b in zip(said, expected)) / (len(expected) + 1)
            for said, expected in zip(completions, answer)]


def read_rows(arguments, tokenizer):
    """Prompts as text, which the tokenizer takes back to the same ids."""
    with open(os.path.join(arguments.model, "prompts.jsonl")) as file:
        rows = [json.loads(line) for line in file]
    for row in rows:
        row["prompt"] = tokenizer.decode(row["ids"])
        if tokenizer(row["prompt"])["input_ids"] != row.pop("ids"):
            raise SystemExit("the tokenizer does not give a prompt's ids back")
    return rows


def make_trainer(arguments, batch_size, **settings):
    import torch
    from datasets import Dataset
    from transformers import PreTrainedTokenizerFast
    from trl import GRPOConfig, GRPOTrainer

    torch.set_num_threads(arguments.threads)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(arguments.model)
    bf16 = arguments.dtype == "bf16"
    config = GRPOConfig(
        output_dir=tempfile.mkdtemp(prefix="peer-trl-"), use_cpu=True, report_to=[],
        save_strategy="no", logging_strategy="no", disable_tqdm=True, seed=1,
        per_device_train_batch_size=batch_size, num_generations=arguments.width,
        max_completion_length=arguments.response_tokens, temperature=1.0, top_k=0, top_p=1.0,
        loss_type="dapo", epsilon=0.2, epsilon_high=0.28, beta=0.0, learning_rate=1e-6,
        lr_scheduler_type="constant", weight_decay=0.1, max_grad_norm=1.0, shuffle_dataset=False,
        bf16=bf16 and arguments.autocast, gradient_checkpointing=arguments.checkpointing,
        generation_kwargs={"eos_token_id": None},  # every response has its full length
        model_init_kwargs={"attn_implementation": arguments.attention,
                           "dtype": torch.bfloat16 if bf16 and not arguments.autocast
                           else torch.float32},
        **settings)
    trainer = GRPOTrainer(model=arguments.model, reward_funcs=reward_matches, args=config,
                          train_dataset=Dataset.from_list(read_rows(arguments, tokenizer)),
                          processing_class=tokenizer)
    trainer.eos_token_ids = [-1]  # what it cuts responses at after they were generated
    return trainer


def measure_iterations(arguments):
    """Seconds of each whole iteration, from the end of one to the end of the next."""
    from transformers import TrainerCallback

    batch_size = arguments.queries * arguments.width // arguments.updates
    steps = (arguments.warm_up + arguments.iterations) * arguments.updates
    trainer = make_trainer(arguments, batch_size, steps_per_generation=arguments.updates,
                           max_steps=steps)
    ends = []

    class Clock(TrainerCallback):
        def on_step_begin(self, args, state, control, **kwargs):
            if state.global_step == 0 and not ends:
                ends.append(time.perf_counter())

        def on_step_end(self, args, state, control, **kwargs):
            if state.global_step % arguments.updates == 0:
                ends.append(time.perf_counter())

    lengths = count_generated_tokens(trainer)
    trainer.add_callback(Clock())
    with contextlib.redirect_stdout(None):
        trainer.train()
    seconds = [end - begin for begin, end in zip(ends, ends[1:])][arguments.warm_up:]
    expected = arguments.queries * arguments.width * arguments.response_tokens
    if set(lengths) != {expected}:
        raise SystemExit(f"iterations generated {lengths} tokens rather than {expected}")
    measuring.print_json({"all_seconds": seconds, "seconds": statistics.median(seconds),
                          "tokens": expected})


def count_generated_tokens(trainer):
    counts, generate = [], trainer._generate

    def counted(prompts):
        generated = generate(prompts)
        counts.append(sum(map(len, generated[1])))
        return generated

    trainer._generate = counted
    return counts


def measure_update(arguments):
    """One optimiser step on a given batch, in micro-batches of --micro trajectories."""
    import torch

    with open(arguments.batch) as file:
        batch = json.load(file)
    width, length = len(batch["responses"]), len(batch["responses"][0])
    arguments.width, arguments.response_tokens = width, length
    trainer = make_trainer(arguments, arguments.micro,
                           gradient_accumulation_steps=width // arguments.micro, max_steps=1)
    trainer.create_optimizer_and_scheduler(num_training_steps=1000)
    trainer.model_wrapped, trainer.optimizer = trainer.accelerator.prepare(
        trainer.model, trainer.optimizer)
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = width // arguments.micro
    parts = [micro_batch(batch, begin, begin + arguments.micro, width * length)
             for begin in range(0, width, arguments.micro)]
    seconds, norms = [], []
    for _ in range(arguments.warm_up + arguments.iterations):
        start = time.perf_counter()
        for part in parts:
            with trainer.compute_loss_context_manager():
                loss = trainer.compute_loss(trainer.model_wrapped, part)
            trainer.accelerator.backward(loss)
        norms.append(float(torch.nn.utils.clip_grad_norm_(trainer.model.parameters(), 1.0)))
        trainer.optimizer.step()
        trainer.optimizer.zero_grad()
        seconds.append(time.perf_counter() - start)
    seconds = seconds[arguments.warm_up:]
    measuring.print_json({"all_seconds": seconds, "seconds": statistics.median(seconds),
                          "gradient_norm": norms[0]})


def micro_batch(batch, begin, end, all_tokens):
    import torch

    rows = end - begin
    prompt = torch.tensor(batch["prompt"]).expand(rows, -1).contiguous()
    responses = torch.tensor(batch["responses"][begin:end])
    return {"prompt_ids": prompt, "prompt_mask": torch.ones_like(prompt),
            "completion_ids": responses, "completion_mask": torch.ones_like(responses),
            "advantages": torch.tensor(batch["advantages"][begin:end]),
            "num_items_in_batch": torch.tensor(all_tokens)}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["update", "iteration"])
    parser.add_argument("--model", required=True, help="folder that models.py has written")
    parser.add_argument("--dtype", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--autocast", type=int, default=0, choices=[0, 1],
                        help="bf16: float32 weights and autocast rather than bf16 weights")
    parser.add_argument("--attention", choices=["eager", "sdpa"], default="sdpa")
    parser.add_argument("--checkpointing", type=int, default=0, choices=[0, 1],
                        help="gradient checkpointing, TRL's default")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--iterations", type=int, default=1, help="timed")
    parser.add_argument("--warm-up", type=int, default=0, help="iterations before these")
    parser.add_argument("--batch", help="update: file that models.py has written")
    parser.add_argument("--micro", type=int, default=2, help="update: trajectories run at once")
    parser.add_argument("--queries", type=int, default=2)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--response-tokens", type=int, default=128)
    parser.add_argument("--updates", type=int, default=2, help="optimiser steps of an iteration")
    arguments = parser.parse_args()
    (measure_update if arguments.what == "update" else measure_iterations)(arguments)


if __name__ == "__main__":
    main()
