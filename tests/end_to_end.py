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


def count_lines(path):
    return path.read_bytes().count(b"\n") if path.exists() else 0


def killed_at(process, metrics, wanted, pause):
    """Kills once the log has `wanted` lines and `pause` seconds have passed. False: the run ended before."""
    while process.poll() is None and count_lines(metrics) < wanted:
        time.sleep(0.001)
    try:
        if process.wait(timeout=pause) != 0:
            sys.exit(f"end_to_end: the run ended with {process.returncode} before it was killed")
        return False
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return True


def run_with_kills(program, run_dir, kills, lines_of_whole, seconds_of_line, chance):
    """Starts, kills at random moments, each later than the one before, resumes; ends with a whole run."""
    moments = sorted(chance.uniform(0, lines_of_whole * 0.8) for _ in range(kills))
    landed = 0
    for moment in moments:
        process = subprocess.Popen(command(program, run_dir, (run_dir / "config.toml").exists()))
        if not killed_at(process, run_dir / "metrics.jsonl", int(moment), (moment % 1) * seconds_of_line):
            break
        landed += 1
    subprocess.run(command(program, run_dir, (run_dir / "config.toml").exists()), check=True)
    if landed == 0:
        sys.exit("end_to_end: no kill landed")
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
        num_lines = count_lines(whole / "metrics.jsonl")
        landed = run_with_kills(program, killed, kills, num_lines, seconds / num_lines, random.Random(seed))

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
