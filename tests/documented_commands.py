#!/usr/bin/env python3
"""Runs the commands that the documentation shows, as they stand there, in a copy of what a fresh clone
holds; holds the outputs shown beside them against what they print; looks up every option that is named.
usage: documented_commands.py PROGRAM [PAGE …]      PAGE: README.md, docs/guides/own-data.md, …

In the copy, build/release/treepo and `treepo` are this file: it starts PROGRAM with what scales the
command down (SCALED) and leaves the rest of it alone. What a page calls DIR, or a file of the reader's,
lies there under that name (FILES); it comes from ../shared/assets, and where that is missing the
commands that name it are skipped, visibly. A command is run unless NOT_RUN names it, with the reason.

Of a page of Markdown these blocks are read:
  sh, or no language and a first line like a command    commands
  a block with lines that begin with "$ "               commands and what they print: numbers may differ,
                                                        "…" stands for anything, a line "…" for any lines
  toml, python, json whose first line is "# NAME"       a file that the reader is to write
TREEPO_DOCUMENTED_TIMES=1 prints how long each command took.
"""
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
ASSETS = ROOT.parent / "shared" / "assets"
PAGES = ["README.md", "bench/peers/README.md", *sorted(
    str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md") if path.name != "options.md")]
COPIED = ["configs", "docs", "scripts"]  # of the clone, what commands read

# --- how commands are scaled down: options that are put behind those of the command, which they override

SIZES = {"train.max_steps": 2, "train.threads": 1, "train.queries_per_step": 2, "train.max_sampling_rounds": 1,
         "update.updates_per_batch": 1, "evaluate.queries": 2, "evaluate.samples": 2, "data.held_out": 10, "sft.batch": 2}
WARM_START = {"warm_start.steps": 5, "warm_start.batch": 4}  # where the configuration has one
SHAPE = {"rollout.width": 8, "rollout.depth": 2, "rollout.segment_tokens": 8}  # only where the command has none
ON_A_CPU = {"model.device": "cpu", "model.dtype": "float32", "stop.response_tokens": 0, "reward.overlong_tokens": 0,
            "engine.cache_mib": 64, "model.random_weights": "true"}
LARGE_VOCABULARY = {"train.max_steps": 1, "train.queries_per_step": 1, "evaluate.queries": 1, "evaluate.samples": 1}
SCALED = {  # command: (options, shape as well?)
    "train": (SIZES, True), "sft": (SIZES, False), "eval": ({"evaluate.queries": 2}, True), "sample": ({}, True),
    "bench": ({}, True)}
SCALED_CONFIG = {  # what a command with this file gets besides
    "configs/paper-7b.toml": {**ON_A_CPU, **LARGE_VOCABULARY}, "configs/paper-small.toml": LARGE_VOCABULARY}
BENCH_FLAGS = {"--queries": "2", "--rounds": "1"}

# --- what is not run: a pattern of the whole command, the reason, and files that must be there

NOT_RUN = [
    (r"git clone … treepo && cd treepo", "needs a network", []),
    (r"\./quickstart", "builds and trains for minutes", ["quickstart"]),
    (r"\./check", "runs this test", ["check"]),
    (r"scripts/bootstrap( --workers)?", "installs packages", ["scripts/bootstrap"]),
    (r"scripts/build( .*)?", "builds", ["scripts/build"]),
    (r"cmake --install .*", "needs a whole build; tests/library_use.py installs one", []),
    (r"bench/peers/(setup|sampling|training)\b.*", "installs and times other systems: hours",
     ["bench/peers/setup", "bench/peers/sampling", "bench/peers/training"]),
    (r"python3 bench/peers/sampling_gpu .*", "needs a GPU", ["bench/peers/sampling_gpu"]),
    (r"build/cuda/treepo .*", "needs a GPU", []),
    (r"tensorboard --logdir .*", "a server; tests/tensorboard_read.py reads the files", []),
    (r"hf download .*", "needs a network", []),
]

# --- what the reader is said to have, by page: name in the working folder, where it comes from

MODEL, QWEN = "models/tinystories-656k", "tokenizers/qwen2.5"
DIGITS = "models/verl-arith-seq-llama"
PAPER_DATA = {
    "data/math/train.jsonl": ("data/math/math500.jsonl", 30), "data/deepscaler/train.json": "data/deepscaler/train_aime.json",
    "data/math/aime24.jsonl": ("data/math/aime24.jsonl", 3), "data/math/amc.jsonl": ("data/math/amc23.jsonl", 3),
    "data/math/math500.jsonl": ("data/math/math500.jsonl", 3),
    "data/math/minerva_math.jsonl": ("data/math/minerva_math.jsonl", 3),
    "data/math/olympiadbench.jsonl": ("data/math/olympiadbench.jsonl", 3)}
FILES = {
    "README.md": {"DIR": DIGITS},
    "docs/data.md": {"DIR": QWEN, "train.jsonl": ("data/gsm8k/train.jsonl", 20), **PAPER_DATA},
    "docs/evaluation.md": {"DIR": MODEL, "math500.jsonl": ("data/math/math500.jsonl", 2),
                           "aime24.jsonl": ("data/math/aime24.jsonl", 2)},
    "docs/rewards.md": {"answers.jsonl": '{"prompt": "1/2 + 1/4?", "response": "<think>x</think><answer>$\\\\frac{3}{4}$</answer>", '
                                         '"answer": "0.75"}\n'},
    "docs/report.md": {"trees.jsonl": json.dumps({
        "query_id": "two", "prompt": [1, 2, 3], "prompt_text": "2*2:",
        "nodes": [{"id": 0, "parent": -1, "tokens": []}] + [
            {"id": i, "parent": parent, "parent_used_tokens": used, "tokens": [1] * count, "logprobs": [-0.1] * count,
             "entropies": [0.1] * count, "text": text}
            for i, (parent, used, count, text) in enumerate([(0, 0, 8, "4"), (1, 8, 4, "!"), (1, 4, 4, "5!")], 1)],
        "leaves": [{"path": [0, 1, i], "reward": 3 - i, "advantage": 2.5 - i, "end": "eos", "num_tokens": 20 - 4 * i,
                    "text": "4!", "score": 3 - i, "reason": ""} for i in (2, 3)]}) + "\n"},
    "docs/guides/own-data.md": {"DIR": MODEL, "gsm8k_train.jsonl": ("data/gsm8k/train.jsonl", 4),
                                "gsm8k_test.jsonl": ("data/gsm8k/test.jsonl", 2)},
    "docs/guides/paper-settings.md": {"TOKENIZER": QWEN, "QWEN": "small-model", **PAPER_DATA},
    "configs/digits.toml": {"DIR": DIGITS},
    "configs/paper-7b.toml": {"DIR": "small-model", **PAPER_DATA},
    "configs/paper-small.toml": {
        "TOKENIZER_DIR": QWEN, "DIR/train_aime.json": "data/deepscaler/train_aime.json",
        "DIR/train_math.json": "data/deepscaler/train_math.json", "DIR/aime24.jsonl": "data/math/aime24.jsonl",
        "DIR/math500.jsonl": "data/math/math500.jsonl"},
    "configs/sft.toml": {"DIR": MODEL, "FILE": '{"prompt": "1 + 1 =", "response": " 2"}\n' * 4},
}
# In tables of this page only the last column names options of treepo.
OTHERS_TOO = {"docs/guides/from-trl-verl.md"}
FILE_ENDINGS = {"md", "json", "jsonl", "toml", "py", "h", "cpp", "cu", "html", "svg", "csv", "parquet", "pt", "sh"}

COMMAND = re.compile(r"(\$ |treepo |build/\w+/treepo |\./\w|scripts/|bench/peers/|git |echo |cat |for |head |tail |jq |python3 |"
                     r"hf |curl |tensorboard |cd |mkdir |cp )")


# --- what stands in place of the program

def with_options(words):
    """The command with what scales it down."""
    command, given = words[0] if words else "", {}
    for flag, value in zip(words, words[1:]):
        if flag == "--set" and "=" in value:
            given[value.partition("=")[0]] = value
    if command == "study":
        return words[:1] + [scaled_study(pathlib.Path(word)) if word.endswith(".toml") else word for word in words[1:]]
    if command not in SCALED or "--help" in words:
        return words
    options, shaped = SCALED[command]
    if "--resume" in words:  # nothing else may change
        return [*words, "--set", f"train.max_steps={last_step(pathlib.Path(words[words.index('--resume') + 1])) + 1}"]
    options = dict(options)
    if shaped and not any(key.startswith("rollout.") and key in SHAPE for key in given):
        options.update(SHAPE)
    if command == "train" and has_warm_start(words) and "warm_start.steps" not in given:
        options.update(WARM_START)
    for word in words:
        options.update(SCALED_CONFIG.get(word, {}))
    if command == "bench":
        words = list(words)
        for flag, value in BENCH_FLAGS.items():
            if flag in words:
                words[words.index(flag) + 1] = value
            else:
                words += [flag, value]
    return words + [word for key, value in options.items() for word in ("--set", f"{key}={value}")]


def has_warm_start(words):
    files = [pathlib.Path(word) for word in words if word.endswith(".toml") and "=" not in word]
    return any("[warm_start]" in file.read_text() for file in files if file.exists())


def last_step(run_dir):
    return max(int(folder.name.removeprefix("step-")) for folder in (run_dir / "checkpoints").glob("step-*"))


def scaled_study(file):
    """A copy of a study's file with one seed and small runs."""
    options = ", ".join(f'"{key}={value}"' for key, value in {**SIZES, **WARM_START, **SHAPE}.items() if key != "train.max_sampling_rounds")
    text = re.sub(r"(?m)^seeds = .*$", "seeds = [1]", file.read_text())
    had = re.search(r"(?m)^set = \[(.*)\]", text.partition("[[variant]]")[0])
    if had:
        text = text.replace(had.group(0), f"set = [{had.group(1)}, {options}]", 1)
    else:
        text = f"set = [{options}]\n{text}"
    copy = file.with_name(file.stem + "-scaled.toml")
    copy.write_text(text)
    return str(copy)


def stand_in(words):
    program = os.environ["TREEPO_DOCUMENTED_PROGRAM"]
    os.execv(program, [program, *with_options(words)])


# --- reading pages

class Command:
    def __init__(self, page, line, text):
        self.page, self.line, self.text, self.output = page, line, text, []

    @property
    def where(self):
        return f"{self.page}:{self.line}"

    @property
    def first_line(self):
        return self.text.splitlines()[0]


def is_complete(lines):
    text = "\n".join(lines)
    ends = re.findall(r"<<-?\s*'?\"?(\w+)", text)
    if lines[-1].endswith("\\") or any(end not in lines[1:] for end in ends):
        return False
    return subprocess.run(["bash", "-n", "-c", text], capture_output=True).returncode == 0


def commands_of(page, first_line, lines, problems):
    """Commands of a block that begins behind this line."""
    shown, found, open_lines = any(line.startswith("$ ") for line in lines), [], []
    for number, line in enumerate(lines, first_line + 1):
        if shown and not open_lines and not line.startswith("$ "):
            if found:
                found[-1].output.append(line)
            continue
        if not open_lines and not line.strip():
            continue
        if not open_lines:
            found.append(Command(page, number, ""))
            line = line.removeprefix("$ ")
        open_lines.append(line)
        if is_complete(open_lines):
            found[-1].text = "\n".join(open_lines)
            open_lines = []
    if open_lines:
        problems.append(f"{page}:{first_line}: no end of the command: {open_lines[0]}")
        found.pop()
    return found


def read_page(page, problems):
    """(commands and files of a page in order, its text outside of blocks with line numbers, its TOML blocks)."""
    steps, prose, tables, block = [], [], [], None
    for number, line in enumerate((ROOT / page).read_text().splitlines(), 1):
        if not line.startswith("```"):
            (prose if block is None else block[2]).append((number, line) if block is None else line)
            continue
        if block is None:
            block = (line[3:].strip(), number, [])
            continue
        language, first, lines = block
        block = None
        name = re.fullmatch(r"# ([\w./-]+\.\w+)\b.*", lines[0]) if lines else None
        if language in ("toml", "python", "json"):
            if name:
                steps.append((name.group(1), "\n".join(lines) + "\n"))
            if language == "toml":
                tables.append((first, lines))
        elif language in ("sh", "bash", "console") or (language == "" and any(
                line.startswith("$ ") for line in lines) or (language == "" and lines and COMMAND.match(lines[0]))):
            steps += commands_of(page, first, lines, problems)
        elif any(re.match(r"(\$ )?(build/\w+/)?treepo [a-z]", line) for line in lines):
            problems.append(f"{page}:{first}: a command in a block that is not read as commands; mark it ```sh")
    return steps, prose, tables


def read_config(page):
    """Commands in a file's first comment, indented by three spaces."""
    steps, text = [], ""
    for number, line in enumerate((ROOT / page).read_text().splitlines(), 1):
        if not line.startswith("#"):
            break
        if text or re.match(r"#   (treepo|scripts/)", line):
            text += ("\n" if text else "") + line[1:].strip()
            if not text.endswith("\\"):
                steps.append(Command(page, number, re.sub(r"\s{2,}(looks at|says what).*", "", text)))
                text = ""
    return steps


# --- running

class Clone:
    """A folder like a fresh clone after ./quickstart, for the commands of one page."""

    def __init__(self, folder, page, quickstart):
        self.folder, self.page, self.missing = folder, page, []
        for name in COPIED:
            shutil.copytree(ROOT / name, folder / name)
        for place in ("build/release", "build/check", "bin", "home"):
            (folder / place).mkdir(parents=True)
        for place in ("build/release", "build/check", "bin"):
            script = folder / place / "treepo"
            script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(__file__)} --stand-in "$@"\n')
            script.chmod(0o755)
        if quickstart:
            (folder / "runs").mkdir()
            for name in ("quickstart", "seed-1", "seed-2", "seed-3"):
                shutil.copytree(quickstart, folder / "runs" / name, symlinks=True)
        for name, source in FILES.get(page, {}).items():
            self.put(name, source)

    def put(self, name, source):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = None
        if isinstance(source, tuple):
            source, rows = source
        if source.startswith("{"):
            path.write_text(source)
        elif not ASSETS.is_dir():
            self.missing.append(name.split("/")[0] if name.isupper() else name)
        elif source == "small-model":
            subprocess.run([ROOT / "scripts/small-model", ASSETS / QWEN, path], check=True)
            config = path / "config.json"  # with the context of the real model
            config.write_text(config.read_text().replace('"max_position_embeddings": 4096', '"max_position_embeddings": 32768')
                              .replace('"num_hidden_layers": 8', '"num_hidden_layers": 2'))
        elif rows:
            path.write_text("".join((ASSETS / source).read_text().splitlines(keepends=True)[:rows]))
        else:
            path.symlink_to(ASSETS / source)

    def run(self, command, program):
        environment = {**os.environ, "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}", "HOME": str(self.folder / "home"),
                       "TREEPO_DOCUMENTED_PROGRAM": program, "OMP_NUM_THREADS": "1"}
        return subprocess.run(["bash", "-eo", "pipefail", "-c", command.text], cwd=self.folder, env=environment,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)


def form_of(line):
    """A line of shown output as a pattern: numbers, times and white space may differ."""
    parts = re.split(r"(…|[-+−–]?\d[\d,.:]*(?:e[-+]?\d+)?|\s+|[┬├└│╌─█▏▎▍▌▋▊▉]+)", line.strip())
    pattern = ""
    for number, part in enumerate(parts):
        if number % 2 == 0:
            pattern += re.escape(part)
        elif part == "…":
            pattern += ".*"
        elif part[-1].isdigit() or part[-1] in ",.:":
            pattern += r"[-+−–]?\d[\d,.:]*(?:e[-+]?\d+)?" + (r"[,.:]?" if part[-1] in ",.:" else "")
        elif part.isspace():
            pattern += r"\s+"
        else:
            pattern += r"[┬├└│╌─█▏▎▍▌▋▊▉\s]+"
    return pattern


def first_difference(shown, printed):
    """The first line of the shown output that the printed one does not have in its place; None: all are there."""
    lines, at, anywhere = [line.strip() for line in printed.splitlines()], 0, False
    for line in shown:
        if not line.strip():
            continue
        if line.strip() == "…":
            anywhere = True
            continue
        pattern = re.compile(form_of(line))
        place = next((i for i in range(at, len(lines)) if pattern.fullmatch(lines[i])), None)
        if place is None or (not anywhere and any(lines[at:place])):
            return line
        at, anywhere = place + 1, False
    return None


def not_run(command):
    words = command.text.split(" #")[0].strip()
    for pattern, reason, needed in NOT_RUN:
        if re.fullmatch(pattern, words):
            return reason, needed
    return None


class Report:
    def __init__(self):
        self.ran = self.matched = self.skipped = self.left_out = self.parsed = 0
        self.problems = []


def run_page(page, steps, program, quickstart, report):
    with tempfile.TemporaryDirectory(prefix="treepo-documented-") as name:
        clone = Clone(pathlib.Path(name) / "treepo", page, quickstart)
        for step in steps:
            if isinstance(step, tuple):
                (clone.folder / step[0]).parent.mkdir(parents=True, exist_ok=True)
                (clone.folder / step[0]).write_text(step[1])
                continue
            listed = not_run(step)
            if listed:
                check_listed(step, listed[1], report)
                continue
            lacking = [word for word in clone.missing if word in step.text]
            if lacking:
                report.skipped += 1
                print(f"SKIPPED {step.where}: no {lacking[0]} without ../shared/assets: {step.first_line}")
                continue
            began = time.monotonic()
            try:
                done = clone.run(step, program)
            except subprocess.TimeoutExpired:
                report.problems.append(f"{step.where}: still running after 120 s: {step.first_line}")
                continue
            if os.environ.get("TREEPO_DOCUMENTED_TIMES"):
                print(f"{time.monotonic() - began:6.1f} s  {step.where}: {step.first_line}", flush=True)
            report.ran += 1
            if done.returncode != 0:
                last = "\n    ".join(done.stdout.splitlines()[-6:])
                report.problems.append(f"{step.where}: exit code {done.returncode}: {step.text}\n    {last}")
            elif step.output:
                line = first_difference(step.output, done.stdout)
                report.matched += 1
                if line is not None:
                    report.problems.append(f"{step.where}: what is printed has no such line, or not there: {line.strip()}\n"
                                           + "".join(f"    | {text}\n" for text in done.stdout.splitlines()[:40]))


def check_listed(command, needed, report):
    """A command that is not run: its scripts are there, can be read, and know its flags."""
    report.left_out += 1
    flags = re.findall(r"(?<=\s)--[\w-]+", command.text.partition(" #")[0])
    for name in needed:
        path = ROOT / name
        if not path.exists() or not os.access(path, os.X_OK):
            report.problems.append(f"{command.where}: {name} is no program")
            continue
        text = path.read_text()
        language = "bash" if "bash" in text.splitlines()[0] else "python"
        if language == "bash" and subprocess.run(["bash", "-n", path]).returncode != 0:
            report.problems.append(f"{command.where}: {name} is no script of bash")
        if language == "python":
            compile(text, name, "exec")
            text += "".join(module.read_text() for module in path.parent.glob("*.py"))  # flags that scripts share
        if command.text.startswith(name):
            report.problems += [f"{command.where}: {name} has no flag {flag}" for flag in flags if flag not in text]


# --- names of commands, flags and options

class Names:
    """What the program says it accepts."""

    def __init__(self, program):
        def help_of(*words):
            return subprocess.run([program, *words, "--help"], capture_output=True, text=True, check=True).stdout

        listed = help_of().partition("Subcommands:")[2].partition("\n\n")[0]
        self.help = {name: help_of(name) for name in re.findall(r"(?m)^  (\w+)", listed)}
        self.help["bench sample"] = help_of("bench", "sample")
        options = subprocess.run([program, "options", "--markdown"], capture_output=True, text=True, check=True).stdout
        self.options = set(re.findall(r"(?m)^\| `([\w.]+)`", options))
        self.sections = {key.partition(".")[0] for key in self.options}

    def complaint(self, words):
        """What is wrong with the words behind `treepo`; None: nothing."""
        if not words or words[0].startswith("--"):
            return None
        command = "bench sample" if words[:2] == ["bench", "sample"] else words[0]
        if command not in self.help:
            return f"no command {command}"
        flags = set(re.findall(r"--[\w-]+", self.help[command].partition("\n\n  treepo")[0]))
        for flag, value in zip(words, [*words[1:], ""]):
            if re.match(r"--\w", flag) and flag.partition("=")[0] not in flags:
                return f"{command} has no flag {flag}"
            key = value.partition("=")[0]
            if flag == "--set" and key not in self.options and key != "KEY":
                return f"no option {key}"
        return None


def parsed_commands(text):
    """The words behind each `treepo` of a shell command."""
    found = None
    splitter = shlex.shlex(text.replace("\\\n", " "), posix=True, punctuation_chars="|<>;()")
    splitter.whitespace_split, splitter.commenters = True, "#"
    for word in splitter:
        if re.fullmatch(r"(build/\w+/)?treepo", word):
            if found is not None:
                yield found
            found = []
        elif found is not None and set(word) <= set("|<>;()&"):
            yield found
            found = None
        elif found is not None:
            found.append(word)
    if found is not None:
        yield found


def check_help(names, report):
    """The examples of `treepo COMMAND --help`."""
    for command, text in names.help.items():
        examples, open_text = [], ""
        for line in text.splitlines():
            if not open_text and not re.match(r"  (treepo|echo) ", line):
                continue
            open_text += ("\n" if open_text else "") + line.strip()
            try:
                shlex.split(open_text)
            except ValueError:
                continue
            if not open_text.endswith("\\"):
                examples.append(open_text)
                open_text = ""
        if not examples and command != "bench":
            report.problems.append(f"treepo {command} --help: no example")
        for example in examples:
            for words in parsed_commands(example):
                report.parsed += 1
                complaint = names.complaint(words)
                if complaint:
                    report.problems.append(f"treepo {command} --help: {complaint}: {example}")


def check_prose(page, prose, tables, names, report):
    """Commands, options and links outside of blocks; keys in blocks of TOML."""
    text = "\n".join(line.split("|")[-2] if page in OTHERS_TOO and line.startswith("|") and line.count("|") > 2 else line
                     for _, line in prose)
    for span in re.findall(r"`([^`]+)`", text):
        span = " ".join(span.split()).replace("\\|", "|")
        if re.match(r"(build/\w+/)?treepo [a-z]", span):
            for words in parsed_commands(re.sub(r"[\[\]…]", "", span).replace("'", "")):
                if re.fullmatch(r"[a-z]+", words[0]) if words else False:
                    report.parsed += 1
                    complaint = names.complaint(words)
                    if complaint:
                        report.problems.append(f"{page}: {complaint}: {span}")
        key = re.match(r"([a-z_]+)\.([a-z_0-9]+)\b(?![./(*…])", span)
        if key and key.group(1) in names.sections and key.group(2) not in FILE_ENDINGS and key.group(0) not in names.options:
            report.problems.append(f"{page}: no option {key.group(0)}")
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        if not ((ROOT / page).parent / link).exists():
            report.problems.append(f"{page}: no file {link}")
    for first, lines in tables:
        section = ""
        for line in lines:
            heading, key = re.match(r"\[(\w+)\]", line), re.match(r'"?([\w.]+)"?\s*=', line)
            if heading:
                section = heading.group(1)
            elif key and section in names.sections and f"{section}.{key.group(1)}" not in names.options:
                report.problems.append(f"{page}:{first}: no option {section}.{key.group(1)}")
            elif key and section == "grid" and key.group(1) not in names.options:
                report.problems.append(f"{page}:{first}: no option {key.group(1)}")


def make_quickstart(program, folder):
    """A run like ./quickstart's, in a few steps."""
    run = folder / "quickstart"
    words = with_options(["train", "configs/quickstart.toml", "--quiet", "--set", f"train.run_dir={run}"])
    subprocess.run([program, *words, "--set", "train.max_steps=40"], cwd=ROOT, check=True, capture_output=True)
    return run


def check_pictures(run, folder, report):
    """A picture of a metric that no run has is an error that names it; one that a run may lack is an empty chart."""
    for metrics, wanted in (["success+sucess"], "has sucess"), (["success", "kl"], ""):
        drawn = subprocess.run([ROOT / "scripts/readme-pictures", "curves", run, folder / "picture.svg", *metrics],
                               capture_output=True, text=True)
        if wanted not in drawn.stderr or (drawn.returncode == 0) != (wanted == ""):
            report.problems.append(f"scripts/readme-pictures curves … {' '.join(metrics)}: exit code "
                                   f"{drawn.returncode}: {drawn.stderr}")


def main():
    if sys.argv[1] == "--stand-in":
        stand_in(sys.argv[2:])
    began, program, report = time.monotonic(), str(pathlib.Path(sys.argv[1]).resolve()), Report()
    wanted = sys.argv[2:]
    names = Names(program)
    check_help(names, report)
    with tempfile.TemporaryDirectory(prefix="treepo-documented-") as folder:
        quickstart = make_quickstart(program, pathlib.Path(folder))
        check_pictures(quickstart, pathlib.Path(folder), report)
        for page in [*PAGES, *sorted(f"configs/{path.name}" for path in (ROOT / "configs").glob("*.toml"))]:
            if wanted and page not in wanted:
                continue
            if page.endswith(".md"):
                steps, prose, tables = read_page(page, report.problems)
                check_prose(page, prose, tables, names, report)
            else:
                steps = read_config(page)
            if any(isinstance(step, Command) for step in steps):
                run_page(page, steps, program, quickstart, report)
    for problem in report.problems:
        print(f"FAILED {problem}")
    print(f"documented commands: {report.ran} run ({report.matched} with their output), {report.left_out} listed and not run, "
          f"{report.parsed} parsed, {report.skipped} skipped, {len(report.problems)} problems "
          f"({time.monotonic() - began:.0f} s)")
    sys.exit(1 if report.problems else 0)


if __name__ == "__main__":
    main()
