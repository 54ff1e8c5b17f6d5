"""What the measuring scripts share: arguments, child processes, medians, tables."""

import argparse
import json
import os
import resource
import shlex
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PYTHON = os.path.join(HERE, ".venv", "bin", "python")


# --- of one system's process


def sampling_arguments(doc):
    parser = argparse.ArgumentParser(description=doc,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder that models.py has written")
    parser.add_argument("--prompts", required=True, help='JSON lines {"ids"}')
    parser.add_argument("--dtype", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--queries", type=int, default=8, help="the first so many prompts")
    parser.add_argument("--width", type=int, default=16, help="responses to each prompt")
    parser.add_argument("--response-tokens", type=int, default=128)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--check", action="store_true",
                        help="print greedy tokens and their log-probs instead of measuring")
    return parser


def read_prompts(path):
    with open(path) as file:
        return [json.loads(line)["ids"] for line in file if line.strip()]


def sampling_result(arguments, seconds, responses):
    tokens = sum(map(len, responses))
    if tokens != arguments.queries * arguments.width * arguments.response_tokens:
        raise SystemExit(f"{tokens} tokens were decoded: a response ended early")
    return {"seconds": seconds, "tokens": tokens, "trajectories": len(responses)}


def print_json(value):
    print(json.dumps(value), flush=True)


# --- of the script that runs them


def driver_arguments(doc, cases):
    parser = argparse.ArgumentParser(description=doc,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="each system once a round, in turn")
    parser.add_argument("--only", type=lambda text: text.split(","), default=None,
                        metavar="CASE,…", help=f"of {', '.join(cases)}")
    parser.add_argument("--dtypes", type=lambda text: text.split(","), default=["f32", "bf16"])
    parser.add_argument("--treepo", default=default_program("treepo"), help="the program to measure")
    parser.add_argument("--work", default=os.path.join(ROOT, "build", "peers"),
                        help="where models, configurations and logs go")
    parser.add_argument("--wrap", default="", metavar="COMMAND",
                        help="put before each process that is timed, such as taskset -c 0,1")
    parser.add_argument("--peer-threads", type=int, default=os.cpu_count(),
                        help="of the other systems; small models may be faster with one")
    parser.add_argument("--json", default="", metavar="FILE",
                        help="append a JSON line for each process")
    return parser


def default_program(name):
    for path in (f"build/release/{name}", f"build/check/{name}"):
        if os.path.exists(os.path.join(ROOT, path)):
            return os.path.join(ROOT, path)
    return os.path.join(ROOT, "build", "release", name)


def need(path, hint):
    if not os.path.exists(path):
        raise SystemExit(f"{path} is missing: {hint}")


def prepare(arguments, shape):
    """Folder of the model, written on first use."""
    need(PYTHON, "run bench/peers/setup")
    folder = os.path.join(arguments.work, shape)
    subprocess.run([PYTHON, os.path.join(HERE, "models.py"), shape, folder], check=True)
    return folder


def run_process(command, wrap=""):
    """Standard output of a process; its errors are shown where it fails. Says so where other
    programs had more than 5 % of the machine meanwhile."""
    watched = [sys.executable, os.path.join(HERE, "measuring.py"), *command]
    done = subprocess.run(shlex.split(wrap) + watched, capture_output=True, text=True)
    if done.returncode != 0:
        sys.stderr.write(done.stdout[-4000:] + done.stderr[-4000:])
        raise SystemExit(f"failed with {done.returncode}: {shlex.join(command)}")
    others = float(done.stderr.strip().splitlines()[-1])
    if others > 0.05:
        print(f"  disturbed: other programs had {100 * others:.0f} % of the processor time")
    return done.stdout


def watch(command):
    """Runs a command; its last line on standard error is the share of all cores' time that went to
    other programs."""
    def busy_seconds():
        with open("/proc/stat") as file:
            user, nice, system = file.readline().split()[1:4]
        return (int(user) + int(nice) + int(system)) / os.sysconf("SC_CLK_TCK")

    def wall_seconds():
        with open("/proc/uptime") as file:
            return float(file.read().split()[0])

    busy, begin = busy_seconds(), wall_seconds()
    code = subprocess.run(command).returncode
    busy, wall = busy_seconds() - busy, wall_seconds() - begin
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    others = busy - used.ru_utime - used.ru_stime
    sys.stderr.write(f"\n{max(0.0, others) / (wall * os.cpu_count()):.3f}\n")
    return code


def run_peer(script, options, wrap="", *words):
    """The last line that bench/peers/SCRIPT prints, a JSON object."""
    command = [PYTHON, os.path.join(HERE, script), *words]
    for key, value in options.items():
        command += [f"--{key}"] if value is True else [f"--{key}", str(value)]
    return json.loads(run_process(command, wrap).strip().splitlines()[-1])


def read_json_lines(path):
    with open(path) as file:
        return [json.loads(line) for line in file if line.strip()]


class Results:
    """Seconds of each (dtype, case), round by round."""

    def __init__(self, json_path):
        self.runs = {}
        self.json_path = json_path

    def add(self, dtype, case, result):
        self.runs.setdefault((dtype, case), []).append(result)
        print(f"  {dtype:5} {case:24} {result['seconds']:8.2f} s", flush=True)
        if self.json_path:
            with open(self.json_path, "a") as file:
                file.write(json.dumps({"dtype": dtype, "case": case, **result}) + "\n")

    def median(self, dtype, case, key="seconds"):
        values = [run[key] for run in self.runs.get((dtype, case), [])]
        return statistics.median(values) if values else None

    def ratio(self, dtype, slow, fast):
        """How many times faster `fast` is, from the medians of seconds."""
        slow, fast = self.median(dtype, slow), self.median(dtype, fast)
        return slow / fast if slow and fast else None


def print_target(text, ratio, target):
    """A ratio with the target beside it; nothing where a side was not measured."""
    if ratio is not None:
        verdict = "reached" if ratio >= target else "BELOW"
        print(f"{text}: {ratio:.2f} x (target {target} x: {verdict})")


def machine():
    with open("/proc/cpuinfo") as file:
        cpuinfo = file.read()
    names = [line.split(":", 1)[1].strip() for line in cpuinfo.splitlines()
             if line.startswith("model name")]
    flags = set(next(line for line in cpuinfo.splitlines() if line.startswith("flags")).split())
    known = [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if name in flags]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{len(names)} cores, {names[0]} ({', '.join(known)}), {memory:.0f} GiB"


def versions():
    listed = run_process([PYTHON, "-m", "pip", "list", "--format=json"])
    wanted = ("torch", "transformers", "llama_cpp_python", "trl", "accelerate")
    return ", ".join(f"{package['name']} {package['version']}" for package in json.loads(listed)
                     if package["name"].replace("-", "_") in wanted)


if __name__ == "__main__":
    sys.exit(watch(sys.argv[1:]))
