#!/usr/bin/env python3
"""Trains a small model through the program, once undisturbed and once killed at random moments and
resumed, and compares metrics, samples and weights bit by bit.
usage: end_to_end.py PROGRAM [KILLS] [SEED]"""
import hashlib
import json
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

SETTINGS = [
    "train.max_steps=8", "train.checkpoint_every=2", "train.queries_per_step=4", "train.threads=2",
    "train.sample_queries=2", "model.hidden_size=32", "model.num_layers=2", "model.intermediate_size=64",
    "warm_start.steps=60", "warm_start.batch=16", "evaluate.every=3", "evaluate.queries=20",
    "evaluate.samples=2", "data.held_out=50", "rollout.width=8", "train.keep_checkpoints=2",
]


def command(program, run_dir, resume):
    if resume:
        return [program, "train", "--resume", str(run_dir), "--quiet"]
    sets = [word for setting in SETTINGS + [f"train.run_dir={run_dir}"] for word in ("--set", setting)]
    return [program, "train", "configs/quickstart.toml", "--quiet", *sets]


def run_whole(program, run_dir):
    start = time.monotonic()
    subprocess.run(command(program, run_dir, False), check=True)
    return time.monotonic() - start


def run_with_kills(program, run_dir, kills, seconds, chance):
    """Starts, kills after a random share of the whole run's time, resumes, …; ends with a whole run."""
    landed = 0
    for _ in range(kills):
        process = subprocess.Popen(command(program, run_dir, (run_dir / "config.toml").exists()))
        try:
            code = process.wait(timeout=seconds * chance.uniform(0.05, 0.9))
            if code != 0:
                sys.exit(f"end_to_end: the run ended with {code} before it was killed")
            break
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            landed += 1
    subprocess.run(command(program, run_dir, (run_dir / "config.toml").exists()), check=True)
    return landed


def comparable(line):
    """A line of metrics.jsonl without what may differ: times and what is derived from them."""
    return {key: value for key, value in json.loads(line).items() if not key.startswith(("time/", "speed/"))}


def lines(path):
    return [comparable(line) for line in path.read_text().splitlines()]


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main():
    program = str(pathlib.Path(sys.argv[1]).resolve())
    kills = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else random.randrange(1 << 30)
    with tempfile.TemporaryDirectory(prefix="treepo-e2e-") as folder:
        whole, killed = pathlib.Path(folder) / "whole", pathlib.Path(folder) / "killed"
        seconds = run_whole(program, whole)
        landed = run_with_kills(program, killed, kills, seconds, random.Random(seed))

        if lines(whole / "metrics.jsonl") != lines(killed / "metrics.jsonl"):
            for left, right in zip(lines(whole / "metrics.jsonl"), lines(killed / "metrics.jsonl")):
                if left != right:
                    print("undisturbed:", left, "\nresumed:    ", right)
                    break
            sys.exit(f"end_to_end: metrics differ after {landed} kills (seed {seed})")
        if lines(whole / "samples.jsonl") != lines(killed / "samples.jsonl"):
            sys.exit(f"end_to_end: samples differ after {landed} kills (seed {seed})")
        names = sorted(path.name for path in (whole / "checkpoints").iterdir())
        if names != sorted(path.name for path in (killed / "checkpoints").iterdir()):
            sys.exit(f"end_to_end: other checkpoints are left (seed {seed})")
        for file in sorted((whole / "checkpoints").rglob("*.safetensors")):
            other = killed / file.relative_to(whole)
            if digest(file) != digest(other):
                sys.exit(f"end_to_end: {file.relative_to(whole)} differs after {landed} kills (seed {seed})")
        print(f"end to end: {len(lines(whole / 'metrics.jsonl'))} metric lines and {len(names)} checkpoints "
              f"equal after {landed} kills ({seconds:.1f} s undisturbed, seed {seed})")


if __name__ == "__main__":
    main()
