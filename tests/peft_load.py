#!/usr/bin/env python3
"""Loads adapters that the program wrote with Hugging Face PEFT and compares logits; loads one that PEFT
wrote with the program.

For each architecture a model and adapters on it are trained for some steps. PEFT must give the float64
logits of `treepo selfcheck --write` within 1e-9, with the adapter apart and with what `treepo merge`
made of it, and the program those of an adapter whose weights PEFT drew.
PEFT lives beside transformers, see transformers_load.py. Where pip cannot install, a line SKIPPED says so.
usage: peft_load.py PROGRAM"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import transformers_load as common

TOLERANCE = 1e-9
EXAMPLES = '{"prompt": "8+5=", "response": "13!"}\n{"prompt": "7*3=", "response": "21!"}\n'
TARGETS = {"llama": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
           "qwen2": ["q_proj", "v_proj"], "qwen3": ["k_proj", "o_proj", "up_proj"], "mistral": ["gate_proj"]}


def checked(*words):
    done = common.run(*words, cwd=common.ROOT)
    if done.returncode != 0:
        sys.exit(f"peft_load: {' '.join(map(str, words))}\n{done.stderr}")


def make_case(program, kind, folder):
    """A base, an adapter, the two merged, and the program's logits of both."""
    base = common.train(program, folder / "base-run", common.FRESH + [f"model.architecture={kind}"])
    (folder / "examples.jsonl").write_text(EXAMPLES)
    settings = ["model.dtype=float32", "lora.rank=4", "lora.alpha=6", f"lora.targets={json.dumps(TARGETS[kind])}",
                "train.epochs=0", "train.max_steps=10", "sft.batch=2", "optimizer.learning_rate=3e-2",
                f"sft.train={folder / 'examples.jsonl'}", f"train.run_dir={folder / 'run'}"]
    checked(program, "sft", "configs/sft.toml", "--quiet", "--model", base,
            *[word for setting in settings for word in ("--set", setting)])
    case = {"name": kind, "base": str(base), "adapter": str(folder / "run/checkpoints/step-000010"),
            "merged": str(folder / "merged"), "logits": str(folder / "logits.safetensors"),
            "peft": str(folder / "peft"), "targets": TARGETS[kind]}
    checked(program, "merge", "--adapter", case["adapter"], "--out", case["merged"], "--dtype", "float64")
    checked(program, "selfcheck", "--model", case["adapter"], "--write", case["logits"])
    return case


# --- what runs inside the virtual environment

def libraries():
    sys.setdlopenflags(os.RTLD_LAZY)  # what the stand-ins lack is never called
    import peft
    import torch
    import transformers
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    return torch, transformers, peft


def logits(model, ids, torch):
    with common.single_precision_as_double(torch), torch.no_grad():
        for module in model.modules():
            if hasattr(module, "inv_freq"):
                module.__init__(module.config)
        return model.double().eval()(input_ids=ids).logits


def load_base(directory, torch, transformers):
    return transformers.AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float64, attn_implementation="eager")


def compare(cases):
    torch, transformers, peft = libraries()
    from safetensors.torch import load_file
    print(f"peft {peft.__version__}, transformers {transformers.__version__}; largest difference of logits")
    passed = True
    for case in cases:
        wanted = load_file(case["logits"])
        ids = wanted["input_ids"]
        plain = logits(load_base(case["base"], torch, transformers), ids, torch)
        adapted = peft.PeftModel.from_pretrained(load_base(case["base"], torch, transformers), case["adapter"])
        apart = (logits(adapted, ids, torch) - wanted["logits"]).abs().max().item()
        merged = (logits(load_base(case["merged"], torch, transformers), ids, torch) - wanted["logits"]).abs().max().item()
        moved = (plain - wanted["logits"]).abs().max().item()
        good = apart <= TOLERANCE and merged <= TOLERANCE and moved > 1e-3
        passed &= good
        print(f"  {case['name']:<10} adapter {apart:.1e}  merged {merged:.1e}  (moves logits by {moved:.2f})"
              f"{'' if good else '  FAILED'}", flush=True)
    return passed


def draw(cases):
    """An adapter of PEFT's own on each base, all weights drawn, and its logits."""
    torch, transformers, peft = libraries()
    from safetensors.torch import load_file, save_file
    for case in cases:
        torch.manual_seed(1)
        config = peft.LoraConfig(r=3, lora_alpha=5, target_modules=case["targets"], task_type="CAUSAL_LM")
        model = peft.get_peft_model(load_base(case["base"], torch, transformers), config).double()
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                torch.nn.init.normal_(parameter, std=0.2)
        model.save_pretrained(case["peft"])
        ids = load_file(case["logits"])["input_ids"]
        save_file({"input_ids": ids, "logits": logits(model, ids, torch)}, case["peft"] + "/logits.safetensors")


def compare_program(program, cases):
    """The program's logits of PEFT's adapters: written by it, compared here without torch."""
    for case in cases:
        checked(program, "selfcheck", "--model", case["peft"], "--write", case["peft"] + "/found.safetensors")


def compare_drawn(cases):
    libraries()
    from safetensors.torch import load_file
    passed = True
    for case in cases:
        wanted, found = (load_file(f"{case['peft']}/{name}.safetensors")["logits"] for name in ("logits", "found"))
        error = (wanted - found).abs().max().item()
        passed &= error <= TOLERANCE
        print(f"  {case['name']:<10} adapter made by PEFT {error:.1e}{'' if error <= TOLERANCE else '  FAILED'}")
    return passed


def inside(step, cases):
    return subprocess.run([common.VENV / "bin" / "python", __file__, step, json.dumps(cases)],
                          env=common.environment()).returncode == 0


def main():
    steps = {"--compare": compare, "--draw": draw, "--compare-drawn": compare_drawn}
    if sys.argv[1] in steps:
        sys.exit(1 if steps[sys.argv[1]](json.loads(sys.argv[2])) is False else 0)
    program = pathlib.Path(sys.argv[1]).resolve()
    try:
        common.install(common.torch_folder())
    except common.CannotInstall as reason:
        print(f"SKIPPED: adapters were not loaded with PEFT: {reason}")
        return
    with tempfile.TemporaryDirectory(prefix="treepo-peft-") as folder:
        cases = []
        for kind in TARGETS:
            own = pathlib.Path(folder) / kind
            own.mkdir()
            cases.append(make_case(program, kind, own))
        passed = inside("--compare", cases) and inside("--draw", cases)
        if passed:
            compare_program(program, cases)
            passed = inside("--compare-drawn", cases)
    if not passed:
        sys.exit("peft_load: an adapter gives other logits in PEFT")


if __name__ == "__main__":
    main()
