#!/usr/bin/env python3
"""Installs a build, and uses it as a program of one's own would: find_package(treepo), the programs of examples/,
and the parts that need no torch without any.
usage: library_use.py BUILD_DIR
Works in build/library-use, always at the same place, so that ccache knows the files again."""
import json
import math
import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORK = ROOT / "build/library-use"
PREFIX = WORK / "prefix"
TORCH_FREE = ["base", "config", "text", "tree", "kernels", "kv", "rollout", "reward", "data", "evaluate", "report"]
TORCH_FREE_TOO = ["train/tree_sampler.h", "train/training_query.h", "train/batch_collector.h", "train/tree_record.h"]
WARNINGS = "-Wall -Wextra -Werror"

# All headers of the parts without torch, in a program that uses one of them.
WITHOUT_TORCH_CMAKE = """cmake_minimum_required(VERSION 3.22)
project(without_torch LANGUAGES CXX)
find_package(treepo 0.1 REQUIRED COMPONENTS rollout)
add_executable(grow grow.cpp)
target_link_libraries(grow PRIVATE treepo::rollout treepo::reward treepo::data treepo::evaluate treepo::report)
"""
WITHOUT_TORCH_MAIN = """
#include <cstdio>
using namespace treepo;

// A tree of width 4 whose paths never end by themselves.
int main() {
  SearchTree tree({1}, 2);
  TreeGrowth growth({.width = 4, .depth = 2, .segment_tokens = 2}, 1, 2, 3);
  std::vector<int32_t> active;
  for (auto branches = growth.start(); !branches.empty(); branches = growth.next(tree, active, 0)) {
    active.clear();
    for (const Branch& branch : branches)
      for (int copy = 0; copy < branch.copies; ++copy) {
        const int32_t node = tree.add_child(branch.parent);
        for (int i = 0; i < 2; ++i) tree.append(node, 5, -0.5, 1.0);
        if (tree.node(node).depth < 2) active.push_back(node);
        else tree.stop(node, StopReason::depth);
      }
  }
  tree.check_invariants();
  std::printf("%zu leaves, %ld tokens for %ld\\n", tree.leaves().size(), long(tree.unique_tokens()),
              long(tree.trajectory_tokens()));
}
"""


def check(condition, message):
    if not condition:
        sys.exit(f"library_use: {message}")


def run(*words, fails=False, **more):
    done = subprocess.run([str(word) for word in words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          **more)
    check(fails == (done.returncode != 0), f"{' '.join(map(str, words))} exits with {done.returncode}:\n{done.stdout}")
    return done.stdout


def configure(source, build, *settings, **more):
    if shutil.which("ccache"):
        settings = (*settings, "-DCMAKE_CXX_COMPILER_LAUNCHER=ccache")
    return run("cmake", "-G", "Ninja", "-S", source, "-B", build, f"-DCMAKE_PREFIX_PATH={PREFIX}",
               f"-DCMAKE_CXX_FLAGS={WARNINGS}", "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON", *settings, **more)


def install(build):
    shutil.rmtree(WORK, ignore_errors=True)
    run("cmake", "--install", build, "--prefix", PREFIX)
    alone = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
    version = run(PREFIX / "bin/treepo", "--version", env=alone, cwd=PREFIX)
    check(re.fullmatch(r"\d+\.\d+\.\d+\n", version), f"the installed program's version is {version!r}")
    wheel = re.search(r'TORCH_WHEEL_BUILT_WITH "(.*)"', next(PREFIX.rglob("treepoConfig.cmake")).read_text())[1]
    for file in PREFIX.rglob("*.cmake"):
        text = file.read_text().replace(wheel, "").replace(str(PREFIX), "")
        check(str(ROOT) not in text, f"{file} names the source tree")


def grow_without_torch():
    source = WORK / "without-torch"
    source.mkdir()
    headers = [header for part in TORCH_FREE for header in sorted((PREFIX / "include/treepo" / part).rglob("*.h"))]
    check(len(headers) > 100, f"{len(headers)} headers of the parts without torch are installed")
    headers += [PREFIX / "include/treepo" / header for header in TORCH_FREE_TOO]
    includes = "".join(f'#include <treepo/{header.relative_to(PREFIX / "include/treepo")}>\n' for header in headers)
    (source / "CMakeLists.txt").write_text(WITHOUT_TORCH_CMAKE)
    (source / "grow.cpp").write_text(includes + WITHOUT_TORCH_MAIN)
    configure(source, source / "build", "-DTREEPO_TORCH=/nowhere")
    commands = (source / "build/compile_commands.json").read_text()
    check("torch/include" not in commands and "torch/csrc" not in commands, f"torch is in {commands}")
    run("ninja", "-C", source / "build")
    printed = run(source / "build/grow")
    check(printed == "4 leaves, 12 tokens for 16\n", f"grow prints {printed!r}")
    return len(headers)


def name_what_is_missing(examples):
    for folder, part in (("/nowhere", "/nowhere holds no lib/libtorch_cpu.so"), (other_torch(), "2.11.0")):
        said = configure(examples, WORK / "no-torch", f"-DTREEPO_TORCH={folder}", fails=True)
        check(part in " ".join(said.split()), f"with TREEPO_TORCH={folder} find_package says:\n{said}")
        shutil.rmtree(WORK / "no-torch")
    unknown = WORK / "unknown"
    unknown.mkdir()
    (unknown / "CMakeLists.txt").write_text(WITHOUT_TORCH_CMAKE.replace("COMPONENTS rollout", "COMPONENTS roll"))
    said = configure(unknown, unknown / "build", fails=True)
    check("no component roll;" in " ".join(said.split()), f"for a component that is none find_package says:\n{said}")


def other_torch():
    """A folder that looks like that of another release."""
    folder = WORK / "other-torch"
    (folder / "lib").mkdir(parents=True)
    (folder / "lib/libtorch_cpu.so").touch()
    (folder / "version.py").write_text("__version__ = '2.3.1+cpu'\n")
    return folder


def numbers(pattern, text):
    """The groups of each match as numbers, all of which must be finite."""
    found = [tuple(map(float, match)) for match in re.findall(pattern, text)]
    check(all(math.isfinite(value) for values in found for value in values), f"not finite in:\n{text}")
    return found


def check_sampled(printed, model):
    (width, decoded, of), = numbers(r"(\d+) answers: (\d+) tokens decoded for (\d+)\n", printed)
    check(width == 8 and printed.count("answer: ") == 8, f"sample_tree with {model}: not 8 answers:\n{printed}")
    check(8 <= decoded <= of <= 8 * 4 * 8 and "├─" in printed, f"sample_tree with {model} prints:\n{printed}")


def run_examples(programs):
    here = WORK / "runs"
    here.mkdir()
    check_sampled(run(programs / "sample_tree", cwd=here), "a fresh model")

    printed = run(programs / "custom_reward", here / "sevens", cwd=here)
    rewards = [reward for _, reward in numbers(r"step (\d+): reward (\S+)", printed)]
    check(len(rewards) == 15 and rewards[-1] > rewards[0], f"custom_reward prints:\n{printed}")
    trees = [json.loads(line) for line in (here / "sevens/samples.jsonl").read_text().splitlines()]
    leaves = [leaf for tree in trees for leaf in tree["leaves"]]
    for leaf in leaves:
        share = leaf["text"].count("7") / max(len(leaf["text"]), 1)
        check(math.isclose(leaf["reward"], share, abs_tol=1e-9), f"{leaf['text']!r} has reward {leaf['reward']}")
    check(len(leaves) > 100, f"{len(leaves)} leaves are logged")
    model = max((here / "sevens/checkpoints").glob("step-*"))
    check_sampled(run(programs / "sample_tree", model, "2+3-4*5+6:", cwd=here), model)

    printed = run(programs / "growth_policy", cwd=here)
    (even, own), = numbers(r"widest split: even (\d+), to the least certain (\d+)\n", printed)
    check(own > even, f"growth_policy prints:\n{printed}")

    printed = run(programs / "training_loop", cwd=here)
    steps = numbers(r"step +(\d+): reward (\S+)  entropy (\S+)  gradient norm (\S+)  (\d+) tokens run for (\d+)", printed)
    check(len(steps) == 20, f"training_loop prints:\n{printed}")
    check(all(norm > 0 and tokens < of for _, _, _, norm, tokens, of in steps), f"training_loop prints:\n{printed}")
    (first, last), = numbers(r"first 5 steps (\S+), of the last 5 (\S+)\n", printed)
    check(last > first, f"training_loop prints:\n{printed}")
    if list(PREFIX.rglob("libtreepo_cuda.so")):  # with or without a GPU it is found where it was installed
        tried = subprocess.run([programs / "training_loop", "model.device=cuda", "train.max_steps=1"], cwd=here,
                               capture_output=True, text=True)
        check("libtreepo_cuda.so: cannot open" not in tried.stderr, f"with model.device=cuda:\n{tried.stderr}")
    return f"the share of sevens {rewards[0]:.2f} -> {rewards[-1]:.2f}, the loop by hand {first:.2f} -> {last:.2f}"


def check_documentation():
    """What docs/library.md shows is what is built."""
    sources = [file.read_text() for file in (ROOT / "examples").iterdir()]
    blocks = re.findall(r"```(?:cpp|cmake)\n(.*?)```", (ROOT / "docs/library.md").read_text(), re.S)
    check(len(blocks) > 5, f"docs/library.md has {len(blocks)} blocks of code")
    for block in blocks:
        check(any(block in source for source in sources), f"docs/library.md shows what no example has:\n{block}")


def main():
    check_documentation()
    install(pathlib.Path(sys.argv[1]).resolve())
    headers = grow_without_torch()
    examples = WORK / "examples"
    shutil.copytree(ROOT / "examples", examples)
    name_what_is_missing(examples)
    configure(examples, examples / "build")
    run("ninja", "-C", examples / "build")
    learned = run_examples(examples / "build")
    print(f"library: installed, {headers} headers build without torch, 4 examples run; {learned}")


if __name__ == "__main__":
    main()
