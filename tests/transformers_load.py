#!/usr/bin/env python3
"""Loads checkpoints that the program wrote with Hugging Face transformers and compares logits.

Models of every architecture are made by runs of one training step, and published ones are loaded
and saved again by such a run. `treepo selfcheck --write` gives treepo's float64 logits for a few
drawn sequences; transformers' must be within 1e-9 of them in float64 and 1e-4 in float32.

transformers (and PEFT for peft_load.py) lives in build/transformers-venv, made here; torch is the one that treepo is built with.
Where pip cannot install, a line SKIPPED says so.
usage: transformers_load.py PROGRAM"""
import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

REQUIREMENTS = ["transformers==5.23.0", "safetensors==0.8.0", "numpy==2.4.6", "sympy==1.14.0",
                "networkx==3.6.1", "jinja2==3.1.6"]
WITHOUT_TORCH = ["peft==0.21.2", "accelerate==1.15.0", "psutil==7.2.2"]  # for peft_load.py; torch is there already
ROOT = pathlib.Path(__file__).resolve().parent.parent
VENV = ROOT / "build" / "transformers-venv"
STAND_INS = VENV / "stand-ins"
ORACLES = ROOT.parent / "shared" / "assets" / "oracles" / "hf-models"
TOLERANCE = {"float64": 1e-9, "float32": 1e-4}  # largest difference of logits of size 1 to 10

TINY = ["train.max_steps=1", "train.queries_per_step=2", "train.dynamic_sampling=false", "train.threads=1",
        "update.updates_per_batch=1", "rollout.width=4", "rollout.depth=2", "rollout.segment_tokens=4",
        "evaluate.every=0", "evaluate.queries=1", "evaluate.samples=1", "warm_start.steps=5", "warm_start.batch=4",
        "data.held_out=1"]
FRESH = ["model.hidden_size=32", "model.num_layers=2", "model.num_heads=4", "model.num_kv_heads=2",
         "model.intermediate_size=48", "model.initializer_range=0.2"]


class CannotInstall(Exception):
    pass


def run(*words, **more):
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, **more)


# --- the virtual environment

def torch_folder():
    named = os.environ.get("TREEPO_TORCH")
    found = [pathlib.Path(named)] if named else sorted(ROOT.glob(".venv/lib/python3*/site-packages/torch"))
    if not found or not found[0].is_dir():
        raise CannotInstall("no torch in .venv: run scripts/bootstrap")
    return found[0].resolve()


def install(torch):
    wanted = "\n".join(REQUIREMENTS + WITHOUT_TORCH + [str(torch)])
    marker = VENV / "INSTALLED"
    if marker.exists() and marker.read_text() == wanted:
        return
    print("installing transformers and PEFT into build/transformers-venv", flush=True)
    own_python = ROOT / ".venv" / "bin" / "python"
    python = own_python if torch.is_relative_to(ROOT / ".venv") and own_python.exists() else sys.executable
    shutil.rmtree(VENV, ignore_errors=True)
    pip = [VENV / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check"]
    for words in ([python, "-m", "venv", VENV], [*pip, *REQUIREMENTS], [*pip, "--no-deps", *WITHOUT_TORCH]):
        made = run(*words)
        if made.returncode != 0:
            raise CannotInstall((made.stderr.strip() or made.stdout.strip() or "no message").splitlines()[-1])
    packages = next(VENV.glob("lib/python3*/site-packages"))
    (packages / "torch.pth").write_text(f"{torch.parent}\n")
    stand_in_for_missing_libraries(torch)
    marker.write_text(wanted)


def stand_in_for_missing_libraries(torch):
    """The wheel's Python half loads its CUDA half, whose libraries are only there with a GPU. Nothing
    calls them on a CPU: empty libraries of the same names do."""
    STAND_INS.mkdir()
    library = torch / "lib" / "libtorch_python.so"
    while missing := set(re.findall(r"(\S+) => not found", run("ldd", library, env=environment()).stdout)):
        for name in missing:
            made = run("cc", "-shared", "-x", "c", "/dev/null", f"-Wl,-soname,{name}", "-o", STAND_INS / name)
            if made.returncode != 0:
                raise CannotInstall(f"cc cannot make {name}: {made.stderr.strip()}")


def environment():
    paths = [str(STAND_INS), *filter(None, [os.environ.get("LD_LIBRARY_PATH")])]
    return {**os.environ, "LD_LIBRARY_PATH": ":".join(paths), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1",
            "TRANSFORMERS_VERBOSITY": "error"}


# --- the models

def train(program, run_dir, settings):
    sets = [word for setting in TINY + settings + [f"train.run_dir={run_dir}"] for word in ("--set", setting)]
    done = run(program, "train", "configs/quickstart.toml", "--quiet", *sets, cwd=ROOT)
    if done.returncode != 0:
        sys.exit(f"transformers_load: training failed:\n{done.stderr}")
    return run_dir / "checkpoints" / "step-000001"


def published(program, source, folder):
    """The published model after a step with a tokenizer of as many tokens as the quickstart's."""
    made = folder / "from"
    shutil.copytree(source, made)
    for file in (folder / "tokenizer").iterdir():
        shutil.copy(file, made)
    return train(program, folder / "run", [f"model.path={made}"])


def checkpoints(program, folder):
    """(what it is, directory) for each checkpoint that the program wrote."""
    for kind in ("llama", "qwen2", "qwen3", "mistral"):
        for tied in ("true", "false"):
            name = f"{kind}, {'tied' if tied == 'true' else 'untied'}"
            yield name, train(program, folder / f"{kind}-{tied}",
                              FRESH + [f"model.architecture={kind}", f"model.tie_embeddings={tied}"])
    if not ORACLES.is_dir():
        print(f"SKIPPED: published models: no models at {ORACLES}, where they lie beside the checkout")
        return
    tokenizer = folder / "llama-true" / "tokenizer"
    for source in sorted(ORACLES.iterdir()):
        if not (source / "config.json").exists() or json.loads((source / "config.json").read_text())[
                "model_type"] == "qwen3_moe":
            continue
        own = folder / source.name
        shutil.copytree(tokenizer, own / "tokenizer")
        yield f"{source.name}, saved again", published(program, source, own)


def write_logits(program, folder):
    listed = []
    for name, directory in checkpoints(program, folder):
        file = folder / f"{len(listed)}.safetensors"
        done = run(program, "selfcheck", "--model", directory, "--write", file)
        if done.returncode != 0:
            sys.exit(f"transformers_load: {name}: {done.stderr}")
        listed.append([name, str(directory), str(file)])
    return listed


# --- what runs inside the virtual environment

@contextlib.contextmanager
def single_precision_as_double(torch):
    """RMSNorm, softmax and rotary tables are float32 in transformers whatever the model's dtype. Inside
    they are float64: what asks torch for single precision gets double."""
    names = {(torch, "float32"): torch.float64, (torch, "float"): torch.float64,
             (torch.Tensor, "float"): torch.Tensor.double}
    before = {(owner, name): getattr(owner, name) for owner, name in names}
    try:
        for (owner, name), value in names.items():
            setattr(owner, name, value)
        yield
    finally:
        for (owner, name), value in before.items():
            setattr(owner, name, value)


def logits_of(directory, dtype, ids, torch, transformers):
    """transformers' logits for these tokens, and what it has to say against the files."""
    model, report = transformers.AutoModelForCausalLM.from_pretrained(
        directory, dtype=getattr(torch, dtype), attn_implementation="eager", output_loading_info=True)
    with single_precision_as_double(torch) if dtype == "float64" else contextlib.nullcontext(), torch.no_grad():
        for module in model.modules():
            if hasattr(module, "inv_freq"):
                module.__init__(module.config)  # frequencies of rotation, in the precision that holds now
        logits = model.eval()(input_ids=ids).logits
    return logits.double(), {key: value for key, value in report.items() if value}


def compare(listed):
    sys.setdlopenflags(os.RTLD_LAZY)  # what the stand-ins lack is never called
    import torch
    import transformers
    from safetensors.torch import load_file
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    print(f"transformers {transformers.__version__}, torch {torch.__version__}; largest difference of logits")
    passed = True
    for name, directory, file in listed:
        wanted = load_file(file)
        ids, logits = wanted["input_ids"], wanted["logits"]
        row = f"  {name:<36}"
        for dtype, tolerance in TOLERANCE.items():
            got, wrong = logits_of(directory, dtype, ids, torch, transformers)
            error = (got - logits).abs().max().item()
            good = error <= tolerance and not wrong  # False for NaN
            passed &= good
            row += f"  {dtype} {error:.1e}{'' if good else ' FAILED'}{f' {wrong}' if wrong else ''}"
        print(f"{row}  (up to {logits.abs().max().item():.1f})", flush=True)
    return passed


def main():
    if sys.argv[1] == "--compare":
        sys.exit(0 if compare(json.loads(sys.argv[2])) else 1)
    program = pathlib.Path(sys.argv[1]).resolve()
    try:
        install(torch_folder())
    except CannotInstall as reason:
        print(f"SKIPPED: checkpoints were not loaded with transformers: {reason}")
        return
    with tempfile.TemporaryDirectory(prefix="treepo-transformers-") as folder:
        listed = write_logits(program, pathlib.Path(folder))
        done = subprocess.run([VENV / "bin" / "python", __file__, "--compare", json.dumps(listed)], env=environment())
    if done.returncode != 0:
        sys.exit("transformers_load: a checkpoint gives other logits in transformers")
    print(f"{len(listed)} checkpoints load and give the same logits (float64 within "
          f"{TOLERANCE['float64']}, float32 within {TOLERANCE['float32']})")


if __name__ == "__main__":
    main()
