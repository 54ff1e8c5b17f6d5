#!/usr/bin/env python3
"""Opens pages of `treepo report` in headless Chromium and holds what they show against the logs.
usage: report_page.py PROGRAM [SCREENSHOT_FOLDER]
Skips, and says so, where no Chromium is installed (scripts/bootstrap --tests installs it)."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

HOSTILE = "</script><script>window.hacked=1</script><img src=x onerror='window.hacked=2'> \U0001F600 " \
          "\u05e9\u05dc\u05d5\u05dd \u202eevil\u202c \x07\x1b[31m &amp; {{data}} <!-- ]]>"


class Browser:
    """Chromium behind the two pipes of its remote debugging protocol."""

    def __init__(self, program, folder):
        to_read, self.write_end = os.pipe()
        self.read_end, to_write = os.pipe()

        def hand_over():
            # The protocol speaks on descriptors 3 and 4; copies above them survive the moves.
            reading, writing = os.dup(to_read), os.dup(to_write)
            os.dup2(reading, 3)
            os.dup2(writing, 4)

        self.process = subprocess.Popen(
            [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             f"--user-data-dir={folder}", "--remote-debugging-pipe", "--hide-scrollbars"],
            preexec_fn=hand_over, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_read)
        os.close(to_write)
        self.buffer, self.number, self.events, self.session = b"", 0, [], None

    def call(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.write_end, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.receive()
            if answer.get("id") == self.number:
                if "error" in answer:
                    sys.exit(f"report_page: {method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def receive(self):
        while b"\0" not in self.buffer:
            chunk = os.read(self.read_end, 1 << 16)
            if not chunk:
                sys.exit("report_page: the browser ended")
            self.buffer += chunk
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def open(self, path, width=1400, height=1000, dark=False):
        self.session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.events = []
        for domain in ("Runtime", "Log", "Page", "Network"):
            self.call(domain + ".enable")
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia",
                  features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        self.call("Page.navigate", url=pathlib.Path(path).resolve().as_uri())
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self.evaluate("document.documentElement?.dataset.ready === 'yes'"):
                return
            time.sleep(0.05)
        sys.exit(f"report_page: {path} does not become ready: {self.complaints()}")

    def evaluate(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            sys.exit(f"report_page: {expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def complaints(self):
        """Errors and warnings on the console, exceptions, and requests for anything but the page."""
        self.evaluate("0")
        found = []
        for event in self.events:
            method, parameters = event.get("method"), event.get("params", {})
            if method == "Runtime.exceptionThrown":
                found.append(str(parameters["exceptionDetails"]))
            elif method == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
                found.append(parameters["entry"]["text"])
            elif method == "Runtime.consoleAPICalled":
                found.append(str(parameters["args"]))
            elif method == "Network.requestWillBeSent" and not parameters["request"]["url"].startswith("file:"):
                found.append("request: " + parameters["request"]["url"])
        return found

    def screenshot(self, path, whole=False):
        import base64
        picture = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        pathlib.Path(path).write_bytes(base64.b64decode(picture["data"]))

    def close(self):
        self.process.terminate()
        self.process.wait(timeout=20)


def check(condition, message):
    if not condition:
        sys.exit(f"report_page: {message}")


def report(program, out, *folders):
    start = time.monotonic()
    subprocess.run([program, "report", *map(str, folders), "--out", str(out)], check=True, stdout=subprocess.DEVNULL)
    return out.stat().st_size, time.monotonic() - start


def real_run(program, folder, more=()):
    settings = ["train.max_steps=6", "train.queries_per_step=4", "train.sample_queries=2", "model.hidden_size=32",
                "model.num_layers=2", "model.intermediate_size=64", "warm_start.steps=60", "warm_start.batch=16",
                "evaluate.every=3", "evaluate.queries=10", "evaluate.samples=2", "data.held_out=20",
                "rollout.width=8", "train.checkpoint_every=0", f"train.run_dir={folder}", *more]
    words = [word for setting in settings for word in ("--set", setting)]
    subprocess.run([program, "train", "configs/quickstart.toml", "--quiet", *words], check=True)
    return folder


def invented_tree(step, query, text, width=4, depth=2):
    """A full binary beginning, then one path for each leaf; one fallback inside a segment."""
    nodes = [{"id": 0, "parent": -1, "tokens": []}]
    leaves = []

    def add(parent, **more):
        nodes.append({"id": len(nodes), "parent": parent, "tokens": [7, 8, 9], "logprobs": [-0.1, -2.0, -0.5],
                      "entropies": [0.2, 1.0, 0.5], "text": text, "token_texts": ["A", text, "z"], **more})
        return len(nodes) - 1

    fronts = [0]
    for level in range(depth):
        fronts = [add(front) for front in fronts for _ in range(2 if len(fronts) < width else 1)]
    fronts.append(add(1, parent_used_tokens=2, fallback=True))
    for i, node in enumerate(fronts):
        nodes[node]["stop"] = "eos"
        path = [node]
        while path[0] != 0:
            path.insert(0, nodes[path[0]]["parent"])
        leaves.append({"path": path, "reward": float(i % 2), "advantage": 0.5 - i % 2, "end": "eos",
                       "num_tokens": 3 * (len(path) - 1), "text": text, "reason": text})
    return {"step": step, "query_id": query, "prompt": [1, 2], "nodes": nodes, "leaves": leaves,
            "prompt_text": text, "answer": text}


def invented_run(folder, steps, metrics, trees=(), cut=""):
    folder.mkdir(parents=True)
    with open(folder / "metrics.jsonl", "w") as file:
        for step in range(1, steps + 1):
            file.write(json.dumps({"step": step, **metrics(step)}) + "\n")
        file.write(cut)
    if trees:
        (folder / "samples.jsonl").write_text("".join(json.dumps(tree) + "\n" for tree in trees) + cut)
    return folder


def chart_value(browser, metric, step):
    """The number that hovering over a chart at a step shows."""
    return browser.evaluate(f"""(async () => {{
      const card = document.querySelector('[data-metric~="{metric}"]');
      card.scrollIntoView();
      await new Promise((done) => setTimeout(done, 150));
      const plot = card.querySelector('svg.plot'), box = plot.getBoundingClientRect();
      const steps = JSON.parse(document.getElementById('data').textContent).runs
        .flatMap((run) => run.tables.filter((table) => '{metric}' in table.columns).flatMap((table) => table.step));
      const low = Math.min(...steps), high = Math.max(...steps);
      const x = box.left + 52 + (box.width - 64) * ({step} - low) / (high - low);
      plot.dispatchEvent(new PointerEvent('pointermove', {{clientX: x, clientY: box.top + 60}}));
      return [...document.querySelectorAll('#tooltip b')].map((b) => b.textContent).join('|') + ' @ '
        + document.querySelector('#tooltip .quiet').textContent;
    }})()""")


def no_complaints(browser, where):
    check(not browser.complaints(), f"{where}: the browser complains: {browser.complaints()}")


def test_real_run(browser, program, folder, screenshots):
    run = real_run(program, folder / "real")
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    trees = [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]
    size, _ = report(program, folder / "real.html", run)
    check(size < 5e6, f"a page of {size} bytes")
    browser.open(folder / "real.html")
    no_complaints(browser, "a real run")
    data = browser.evaluate("JSON.parse(document.getElementById('data').textContent).runs[0]")
    drawn = {name: column for table in data["tables"] for name, column in table["columns"].items()}
    logged = {name for line in lines for name in line if name != "step"}
    check(set(drawn) == logged, f"metrics are missing: {logged ^ set(drawn)}")
    for name, column in drawn.items():
        wanted = [line[name] for line in lines if name in line]
        check(len(column) == len(wanted) and
              all(abs(a - b) <= 1e-5 * abs(b) for a, b in zip(column, wanted)), f"{name}: {column} is not {wanted}")
    # Pointing a little to either side of a step shows that step.
    for metric, place in (("reward/mean", 4), ("entropy", 3.7), ("grad_norm", 4.3)):
        shown = chart_value(browser, metric, place)
        wanted = next(line[metric] for line in lines if line["step"] == 4 and metric in line)
        number, where = shown.split(" @ ")
        check(where == "step 4" and abs(float(number.replace(",", "")) - wanted) <= 1e-3 * abs(wanted),
              f"{metric} at step 4 is {wanted}, the chart says {shown}")
    # Every metric has a chart, or is named as 0 throughout.
    text = browser.evaluate("[...document.querySelectorAll('[data-metric]')].map((e) => e.dataset.metric).join(' ') "
                            "+ ' ' + [...document.querySelectorAll('.zeros')].map((e) => e.textContent).join(' ')")
    lost = [name for name in logged if name not in text.replace(",", " ").split()
            and name not in ("warm_start/step",) and not name.endswith(("_low", "_high"))]
    check(not lost, f"no chart for {lost}")
    # The viewer shows the last step's first tree, a box for each node, the text of the path.
    last = [tree for tree in trees if tree["step"] == trees[-1]["step"]]
    boxes = browser.evaluate("document.querySelectorAll('g.segment').length")
    check(boxes == len(last[0]["nodes"]), f"{boxes} boxes for {len(last[0]['nodes'])} nodes")
    for leaf in last[0]["leaves"]:
        browser.evaluate(f"document.querySelector('g.segment[data-node=\"{leaf['path'][-1]}\"]')"
                         ".dispatchEvent(new MouseEvent('click', {bubbles: true}))")
        shown = browser.evaluate("[...document.querySelectorAll('.path .passage')].slice(1).map((e) => e.textContent).join('')")
        check(shown.startswith(leaf["text"]), f"the path reads {shown!r}, the log {leaf['text']!r}")
        reward = browser.evaluate("document.querySelector('.path dd').textContent")
        check(float(reward) == leaf["reward"], f"reward {reward} for {leaf['reward']}")
    facts = browser.evaluate("document.getElementById('run').textContent")
    for word in ("train.max_steps", "configs/quickstart.toml", "PyTorch", "cores, threads"):
        check(word in facts, f"the section Run lacks {word}")
    browser.evaluate("document.getElementById('theme').click()")
    check(browser.evaluate("document.documentElement.dataset.theme") == "dark", "the theme does not switch")
    no_complaints(browser, "a real run, used")
    return run


def test_keys(browser):
    """On the page that is open: from the root to the right, fold and unfold."""
    browser.evaluate("document.querySelector('.stage svg').focus()")
    press = "document.querySelector('.stage svg').dispatchEvent(new KeyboardEvent('keydown', {key: '%s', bubbles: true}))"
    for _ in range(20):
        browser.evaluate(press % "ArrowLeft")
    check(browser.evaluate("document.querySelector('.path h3').textContent") == "Prompt", "arrow left does not reach the prompt")
    before = browser.evaluate("document.querySelectorAll('g.segment').length")
    browser.evaluate(press % " ")
    check(browser.evaluate("document.querySelectorAll('g.segment').length") == 1, "space does not fold the tree")
    browser.evaluate(press % "u")
    check(browser.evaluate("document.querySelectorAll('g.segment').length") == before, "u does not unfold the tree")
    browser.evaluate(press % "ArrowRight")
    check("segment" in browser.evaluate("document.querySelector('.path h3').textContent"), "arrow right does not go on")


def test_hostile_text(browser, program, folder):
    run = invented_run(folder / "hostile <b>", 3, lambda step: {"reward/mean": step, HOSTILE: 1.5},
                       [invented_tree(3, HOSTILE, HOSTILE)])
    report(program, folder / "hostile.html", run)
    source = (folder / "hostile.html").read_text()
    check(source.count("<script") == 2 and source.count("</script>") == 2, "text of a sample reaches the page's markup")
    browser.open(folder / "hostile.html")
    no_complaints(browser, "hostile text")
    check(browser.evaluate("typeof window.hacked") == "undefined", "text of a sample is executed")
    check(browser.evaluate("document.querySelectorAll('img, b > b, #trees script').length") == 0, "text became markup")
    shown = browser.evaluate("document.querySelector('.path .passage').textContent")
    check("</script><script>window.hacked=1</script>" in shown and "\U0001F600" in shown and "\u05e9\u05dc\u05d5\u05dd" in shown,
          f"the prompt reads {shown!r}")
    for mark in ("U+202E", "\u2407", "\u241b"):
        check(mark in shown, f"{mark} is not shown")
    check(not any(hidden in shown for hidden in "\u202e\x07\x1b"), "control characters are on the page as they are")


def test_two_runs(browser, program, folder, run):
    other = invented_run(folder / "other", 30, lambda step: {"reward/mean": step / 30, "only/here": step, "odd": "NaN"},
                         cut='{"step": 31, "reward/me')
    report(program, folder / "two.html", run, other)
    browser.open(folder / "two.html")
    no_complaints(browser, "two runs with different metrics")
    shown = chart_value(browser, "reward/mean", 4)
    check(shown.count("|") == 1, f"two runs, but hovering shows {shown}")
    check(chart_value(browser, "only/here", 7).startswith("7 @ step 7"), "a metric of one run only")
    check("No config.toml" not in browser.evaluate("document.getElementById('run').textContent"), "the first run has one")


def test_seeds(browser, program, folder):
    folders = [real_run(program, folder / f"seed-{seed}", [f"train.seed={seed}", "train.max_steps=3", "evaluate.every=0"])
               for seed in (1, 2)]
    report(program, folder / "seeds.html", *folders)
    browser.open(folder / "seeds.html")
    no_complaints(browser, "two seeds")
    lines = [[json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()] for run in folders]
    wanted = sum(next(line["entropy"] for line in run if line["step"] == 2) for run in lines) / 2
    shown = chart_value(browser, "entropy", 2)
    check("|" not in shown and abs(float(shown.split(" ")[0]) - wanted) < 1e-3 * wanted,
          f"mean entropy of two seeds is {wanted}, shown {shown}")


def test_no_samples(browser, program, folder):
    report(program, folder / "bare.html", invented_run(folder / "bare", 1, lambda step: {"loss": 0.5}))
    browser.open(folder / "bare.html")
    no_complaints(browser, "no samples")
    check("No trees are logged" in browser.evaluate("document.getElementById('trees').textContent"), "no word on missing trees")
    empty = folder / "empty"
    empty.mkdir()
    (empty / "metrics.jsonl").write_text("")
    report(program, folder / "empty.html", empty)
    browser.open(folder / "empty.html")
    no_complaints(browser, "an empty log")


def test_many_steps(browser, program, folder):
    """Page sizes at 1,000 and 10,000 steps with as many metrics as a run logs."""
    names = [f"group{i % 9}/metric_{i}" for i in range(75)] + ["reward/mean"]
    metrics = lambda step: {name: (step * 7919 + i * 104729) % 1000003 / 1000003 for i, name in enumerate(names)}
    for steps in (1000, 10000):
        trees = [invented_tree(step, f"q{i}", "some words of a response " * 4, 16, 6)
                 for step in range(1, steps + 1, max(1, steps // 1000)) for i in range(3)]
        run = invented_run(folder / f"steps-{steps}", steps, metrics, trees)
        size, seconds = report(program, folder / f"steps-{steps}.html", run)
        check(size < 5e6, f"{steps} steps make a page of {size} bytes")
        browser.open(folder / f"steps-{steps}.html")
        no_complaints(browser, f"{steps} steps")
        print(f"report_page: {steps} steps, {len(trees)} trees: {size / 1e6:.2f} MB")
    tree = invented_tree(1, "wide", "a few words", 64, 28)
    report(program, folder / "wide.html", invented_run(folder / "wide", 1, metrics, [tree]))
    browser.open(folder / "wide.html")
    no_complaints(browser, "width 64, depth 28")
    check(browser.evaluate("document.querySelectorAll('g.segment').length") == len(tree["nodes"]), "boxes of a wide tree")
    check(browser.evaluate("document.querySelectorAll('path.edge.fallback').length") == 1, "the fallback is not marked")
    # It keeps two of the three tokens of the segment above.
    leaf = tree["leaves"][-1]["path"][-1]
    browser.evaluate(f"document.querySelector('g.segment[data-node=\"{leaf}\"]').dispatchEvent(new MouseEvent('click', {{bubbles: true}}))")
    shown = browser.evaluate("[...document.querySelectorAll('.path .passage')].slice(1).map((e) => e.textContent)")
    check(shown == ["Aa few words", "Aa few wordsz"], f"the path of the fallback reads {shown}")


def main():
    program = str(pathlib.Path(sys.argv[1]).resolve())
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not chromium:
        print("report_page: SKIPPED, no chromium, chromium-browser or google-chrome on PATH; install one")
        return
    with tempfile.TemporaryDirectory(prefix="treepo-page-") as name:
        folder = pathlib.Path(name)
        browser = Browser(chromium, folder / "profile")
        try:
            run = test_real_run(browser, program, folder, None)
            test_keys(browser)
            test_hostile_text(browser, program, folder)
            test_two_runs(browser, program, folder, run)
            test_seeds(browser, program, folder)
            test_no_samples(browser, program, folder)
            test_many_steps(browser, program, folder)
        finally:
            browser.close()
    print("report page: values equal the logs, hostile text stays text, the viewer opens trees")


if __name__ == "__main__":
    main()
