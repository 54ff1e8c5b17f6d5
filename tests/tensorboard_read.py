#!/usr/bin/env python3
"""Reads the event files of a run with TensorBoard's own reader and holds them against metrics.jsonl,
also after the run was interrupted and resumed.
usage: tensorboard_read.py PROGRAM
TensorBoard comes from PyPI into build/tensorboard-venv, once. Skips, and says so, where it can't."""
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
VENV = ROOT / "build/tensorboard-venv"
PACKAGE = "tensorboard==2.21.0"
SETTINGS = [
    "train.max_steps=6", "train.checkpoint_every=2", "train.queries_per_step=4", "train.threads=1",
    "train.tensorboard=true", "model.hidden_size=32", "model.num_layers=2", "model.intermediate_size=64",
    "warm_start.steps=60", "warm_start.batch=16", "evaluate.every=2", "evaluate.queries=10",
    "evaluate.samples=2", "data.held_out=20", "rollout.width=8",
]


def enter_environment():
    """Goes on in the environment that has TensorBoard; makes it where it is missing."""
    python = VENV / "bin/python"
    if pathlib.Path(sys.prefix) == VENV:
        return
    stamp = VENV / PACKAGE
    if not stamp.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=True)
        installed = subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", PACKAGE])
        if installed.returncode != 0:
            print(f"tensorboard_read: SKIPPED, {PACKAGE} can't be installed (see above)")
            sys.exit(0)
        stamp.touch()
    os.execv(python, [str(python), *sys.argv])


def check(condition, message):
    if not condition:
        sys.exit(f"tensorboard_read: {message}")


def run(program, *arguments):
    subprocess.run([program, "train", *map(str, arguments), "--quiet"], check=True, cwd=ROOT)


def read(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0, "histograms": 0, "tensors": 0})
    accumulator.Reload()
    return accumulator


def logged(run_dir):
    """{name: [(step, value)]} of metrics.jsonl."""
    metrics = {}
    for line in (run_dir / "metrics.jsonl").read_text().splitlines():
        values = json.loads(line)
        step = values.pop("step")
        for name, value in values.items():
            metrics.setdefault(name, []).append((step, float(value)))
    return metrics


COMMON_NAMES = {  # a few of base/metric_names.cpp
    "reward/mean": "critic/rewards/mean", "grad_norm": "actor/grad_norm", "learning_rate": "actor/lr",
    "response/tokens_mean": "response_length/mean", "time/step": "timing_s/step",
}


def compare(run_dir, where):
    events, metrics = read(run_dir / "tensorboard"), logged(run_dir)
    tags = events.Tags()
    for name, values in metrics.items():
        tag = COMMON_NAMES.get(name, name)
        if tag not in tags["scalars"]:
            continue
        scalars = [(event.step, event.value) for event in events.Scalars(tag)]
        check([step for step, _ in scalars] == [step for step, _ in values],
              f"{where}: steps of {tag} are {[s for s, _ in scalars]}, not {[s for s, _ in values]}")
        for (_, got), (_, wanted) in zip(scalars, values):
            check(math.isclose(got, wanted, rel_tol=1e-6, abs_tol=1e-30), f"{where}: {tag} is {got}, logged {wanted}")
    missing = [name for name in metrics if COMMON_NAMES.get(name, name) not in tags["scalars"]]
    check(len(tags["scalars"]) == len(metrics), f"{where}: {len(tags['scalars'])} scalars for {len(metrics)} metrics; {missing}")
    check(all(tag in tags["scalars"] for tag in COMMON_NAMES.values()), f"{where}: common names are missing")

    steps = [step for step, _ in metrics["reward/mean"]]
    for tag, mean in (("histogram/reward", "reward/mean"), ("histogram/response_tokens", "response/tokens_mean")):
        histograms = events.Histograms(tag)
        check([event.step for event in histograms] == steps, f"{where}: steps of {tag}")
        for event, (_, wanted) in zip(histograms, metrics[mean]):
            value = event.histogram_value
            check(math.isclose(value.sum / value.num, wanted, rel_tol=1e-9, abs_tol=1e-12), f"{where}: mean of {tag}")
            check(math.isclose(sum(value.bucket), value.num), f"{where}: buckets of {tag}")
    samples = events.Tensors("samples")
    check([event.step for event in samples] == steps, f"{where}: steps of the samples")
    text = samples[-1].tensor_proto.string_val[0].decode()
    check("**prompt**" in text and "**reward" in text, f"{where}: the sample reads {text!r}")
    check("samples" in events.PluginTagToContent("text"), f"{where}: samples are no texts")
    return len(tags["scalars"]), steps


def main():
    program = str(pathlib.Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory(prefix="treepo-tensorboard-") as name:
        run_dir = pathlib.Path(name) / "run"
        words = [word for setting in [*SETTINGS, f"train.run_dir={run_dir}"] for word in ("--set", setting)]
        run(program, "configs/quickstart.toml", *words)
        count, steps = compare(run_dir, "a run")
        check(steps == list(range(1, 7)), f"steps are {steps}")

        # As after a kill between checkpoints: the newest is gone, and the event file ends in half a record.
        for path in (run_dir / "checkpoints").glob("step-000006*"):
            subprocess.run(["rm", "-r", str(path)], check=True)
        events = run_dir / "tensorboard/events.out.tfevents.run"
        events.write_bytes(events.read_bytes()[:-7])
        run(program, "--resume", run_dir, "--set", "train.max_steps=8")
        _, steps = compare(run_dir, "the resumed run")
        check(steps == list(range(1, 9)), f"steps of the resumed run are {steps}")
    print(f"tensorboard: {count} scalars, histograms and texts of {len(steps)} steps equal the log, also resumed")


if __name__ == "__main__":
    enter_environment()
    main()
