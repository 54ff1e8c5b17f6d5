// The section of curves: which metrics belong together, and how they are drawn.

// [title, what belongs to it]; a metric goes to the first group that takes it, and else to one named
// by its prefix.
const GROUPS = [
  ["Reward and success", /^(success|score|reward|verif)/],
  ["Evaluation", /^eval\//],
  ["Responses", /^(response|stop)\//],
  ["Policy", /^(entropy|sampling\/entropy|kl$|update\/approx_kl$|ratio\/|clip_ratio\/|advantage)/],
  ["Loss and gradient", /^(loss|grad_norm|learning_rate|epoch|update\/(skipped|steps))/],
  ["Mismatch of sampler and trainer", /^(mismatch\/|sampling\/cut_mass)/],
  ["Sampling and sharing", /^(sampling|update)\//],
  ["Throughput", /^speed\//],
  ["Time by phase", /^time\//],
  ["Warm start", /^warm_start\//],
];

// With one run these share a chart.
const FAMILIES = [
  ["Stop reasons", "share of the trajectories", /^stop\//],
  ["Unique tokens by depth", "tokens decoded / tokens of trajectories", /^sampling\/unique_share\/depth_/],
  ["pass@k", "share of the problems", /^eval\/pass@\d+$/],
  ["maj@k", "share of the problems", /^eval\/maj@\d+$/],
  ["Clipped tokens", "share of the tokens", /^clip_ratio\//],
];

const HINTS = {
  "success": "share of trajectories that are right", "score/mean": "verifier's score",
  "score/std": "standard deviation of the score", "reward/mean": "score minus penalties",
  "response/tokens_mean": "tokens", "response/tokens_max": "tokens",
  "response/finished": "share that ended by itself",
  "entropy": "nats, next token, in the update", "sampling/entropy": "nats, next token, while sampling",
  "kl": "nats, to the first model", "update/approx_kl": "nats, of the policy before the batch to that of the update", "ratio/mean": "new / old policy", "ratio/max": "new / old policy",
  "loss": "objective", "grad_norm": "before clipping", "grad_norm_max": "largest of the step's updates",
  "learning_rate": "", "mismatch/mean": "nats, |sampler − trainer|", "mismatch/max": "nats",
  "mismatch/kl": "nats, of the sampler to the trainer, k1", "mismatch/k3_kl": "nats, of the sampler to the trainer, k3",
  "mismatch/outside": "share of the tokens", "sampling/cut_mass": "probability cut off by top-k, top-p, min-p",
  "sampling/unique_share": "tokens decoded / tokens of trajectories",
  "sampling/queries_kept": "queries a step that teach something",
  "sampling/queries_dropped": "queries a step with equal scores", "sampling/rounds": "rounds of sampling",
  "eval/score": "mean score", "eval/pass@1": "with its 95 % interval", "eval/greedy": "share right",
  "eval/tokens": "tokens", "eval/finished": "share that ended by itself", "update/skipped": "updates",
  "eval/loss": "nats a token", "eval/token_accuracy": "share of the tokens",
};

function hintOf(name) {
  if (name in HINTS) return HINTS[name];
  if (name.startsWith("time/")) return "seconds";
  if (name.endsWith("_per_s")) return "a second";
  if (/tokens/.test(name)) return "tokens";
  return "";
}

const curveSettings = {axis: "step", smoothing: 0, logScale: false, seeds: true, filter: ""};

// --- mean and band over seeds

// Runs that differ in their seed only, as one series: mean, and one standard deviation to each side.
function seedSeries(members, axis, name) {
  const at = new Map();
  for (const run of members) {
    const table = tableOf(run, name);
    if (!table) continue;
    const own = seriesOf(run, name, axis);
    own.ys.forEach((y, i) => {
      if (y === null) return;
      const key = own.xs === table[axis] ? table.step[i] : own.xs[i];
      const sum = at.get(key) ?? {n: 0, x: 0, y: 0, squares: 0};
      at.set(key, {n: sum.n + 1, x: sum.x + own.xs[i], y: sum.y + y, squares: sum.squares + y * y});
    });
  }
  const points = [...at.entries()].sort((a, b) => a[0] - b[0]).map(([, sum]) => {
    const mean = sum.y / sum.n;
    return {x: sum.x / sum.n, mean, spread: Math.sqrt(Math.max(0, sum.squares / sum.n - mean * mean))};
  });
  return {
    name: `${members[0].name} and ${members.length - 1} more: mean ± std`, color: members[0].color,
    xs: points.map((p) => p.x), ys: points.map((p) => p.mean),
    low: points.map((p) => p.mean - p.spread), high: points.map((p) => p.mean + p.spread),
  };
}

function hasSeeds() {
  return new Set(runs.map((run) => run.group)).size < runs.length;
}

function seriesOfAll(name) {
  const shown = visibleRuns().filter((run) => tableOf(run, name));
  if (!curveSettings.seeds) return shown.map((run) => seriesOf(run, name, curveSettings.axis));
  const groups = Map.groupBy ? Map.groupBy(shown, (run) => run.group) : groupRuns(shown);
  return [...groups.values()].map((members) => members.length === 1
    ? seriesOf(members[0], name, curveSettings.axis)
    : seedSeries(members, curveSettings.axis, name));
}

function groupRuns(shown) {
  const groups = new Map();
  for (const run of shown) groups.set(run.group, [...(groups.get(run.group) ?? []), run]);
  return groups;
}

// --- cards

function isZero(name) {
  return runs.every((run) => (tableOf(run, name)?.columns[name] ?? []).every((value) => value === 0));
}

// A metric's own card, or the family's where there is only one run.
function cardsOf(names) {
  const cards = [], families = new Map();
  for (const name of names) {
    const family = runs.length === 1 && FAMILIES.find(([, , pattern]) => pattern.test(name));
    if (!family) {
      cards.push({title: name, hint: hintOf(name), names: [name]});
    } else if (families.has(family)) {
      families.get(family).names.push(name);
    } else {
      const card = {title: family[0], hint: family[1], names: [name]};
      families.set(family, card);
      cards.push(card);
    }
  }
  for (const card of cards) card.names.sort((a, b) => a.localeCompare(b, "en", {numeric: true}));
  return cards;
}

function cardSeries(card) {
  if (card.names.length === 1) return seriesOfAll(card.names[0]);
  const [run] = visibleRuns();
  if (!run) return [];
  const common = card.names[0].lastIndexOf("/") + 1;
  return card.names.map((name, i) => ({...seriesOf(run, name, curveSettings.axis), low: undefined, high: undefined,
    name: name.slice(common).replace("_", " "), color: `var(--c${i % 8})`}));
}

function latestOf(card) {
  const run = visibleRuns().length === 1 && card.names.length === 1 ? visibleRuns()[0] : null;
  return run ? formatNumber(lastValue(run, card.names[0])) : "";
}

function makeCard(card) {
  const plot = new Plot(card.title, () => cardSeries(card), () => curveSettings);
  const latest = make("span", {class: "latest", title: "the last value"});
  const element = make("div", {class: "card"}, make("div", {class: "head"}, make("h3", {}, card.title), latest),
    make("div", {class: "hint"}, card.hint), plot.svg);
  element.dataset.metric = card.names.join(" ");
  if (card.names.length > 1) element.append(make("div", {class: "keys"}, ...cardSeries(card).map((line) =>
    make("span", {}, make("i", {class: "swatch", style: `background: ${line.color}`}), line.name))));
  const redraw = () => { latest.textContent = latestOf(card); plot.draw(); };
  return {element, redraw, names: card.names.join(" ") + " " + card.title, dirty: true, seen: false};
}

const cards = [];

// Only what can be seen is drawn; the rest when it scrolls into view, or is printed.
const cardWatcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const card = cards.find((one) => one.element === entry.target);
    card.seen = entry.isIntersecting;
    if (card.seen && card.dirty) drawCard(card);
  }
}, {rootMargin: "300px"});

function drawCard(card) {
  card.dirty = false;
  card.redraw();
}

function redrawCurves() {
  hideCursors();
  for (const card of cards) {
    card.dirty = true;
    card.element.hidden = !card.names.toLowerCase().includes(curveSettings.filter);
    if (card.seen && !card.element.hidden) drawCard(card);
  }
}

function makeGroup(title, names) {
  const zeros = names.filter(isZero);
  const shown = names.filter((name) => !zeros.includes(name));
  const grid = make("div", {class: "cards"});
  for (const card of cardsOf(shown).map(makeCard)) {
    cards.push(card);
    cardWatcher.observe(card.element);
    grid.append(card.element);
  }
  const count = shown.length === 1 ? "1 metric" : `${shown.length} metrics`;
  const group = make("details", {class: "group", open: ""}, make("summary", {}, title + " ", make("span", {class: "quiet"}, count)), grid);
  if (zeros.length > 0) group.append(make("p", {class: "zeros"}, "0 throughout: " + zeros.join(", ")));
  return group;
}

// --- controls

function axisChoice() {
  const box = make("span", {class: "choice", role: "radiogroup", "aria-label": "x axis"}, "x axis");
  for (const axis of ["step", "tokens", "seconds"]) {
    const input = make("input", {type: "radio", name: "axis", value: axis});
    input.checked = axis === curveSettings.axis;
    input.addEventListener("change", () => { curveSettings.axis = axis; redrawCurves(); });
    box.append(make("label", {}, input, axis));
  }
  return box;
}

function smoothingSlider() {
  const input = make("input", {type: "range", min: "0", max: "0.99", step: "0.01", value: "0", "aria-label": "smoothing"});
  const value = make("span", {class: "value number"}, "0");
  input.addEventListener("input", () => {
    curveSettings.smoothing = Number(input.value);
    value.textContent = input.value;
    redrawCurves();
  });
  return make("label", {}, "smoothing", input, value);
}

function checkbox(text, key) {
  const input = make("input", {type: "checkbox"});
  input.checked = curveSettings[key];
  input.addEventListener("change", () => { curveSettings[key] = input.checked; redrawCurves(); });
  return make("label", {}, input, text);
}

function filterField() {
  const input = make("input", {type: "search", id: "filter", placeholder: "filter metrics  ( / )", "aria-label": "filter metrics"});
  input.addEventListener("input", () => { curveSettings.filter = input.value.toLowerCase(); redrawCurves(); });
  return input;
}

function setUpCurves(section) {
  const names = metricNames().filter((name) =>
    !/_(low|high)$/.test(name) || !metricNames().includes(name.replace(/_(low|high)$/, "")));
  if (names.length === 0) {
    section.append(make("p", {class: "empty"}, "Nothing is logged yet: metrics.jsonl has no line."));
    return;
  }
  const controls = make("div", {class: "controls"}, axisChoice(), smoothingSlider(), checkbox("logarithmic", "logScale"));
  if (hasSeeds()) controls.append(checkbox("mean and band over seeds", "seeds"));
  controls.append(filterField());
  section.append(controls);
  const taken = new Set(["warm_start/step"]);
  for (const [title, pattern] of GROUPS) {
    const members = names.filter((name) => pattern.test(name) && !taken.has(name));
    members.forEach((name) => taken.add(name));
    if (members.length > 0) section.append(makeGroup(title, members));
  }
  const prefixOf = (name) => (name.includes("/") ? name.slice(0, name.indexOf("/")) : "other");
  const rest = names.filter((name) => !taken.has(name));
  for (const prefix of new Set(rest.map(prefixOf)))
    section.append(makeGroup(prefix, rest.filter((name) => prefixOf(name) === prefix)));
  let width = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; redrawCurves(); } });
  addEventListener("beforeprint", () => cards.forEach(drawCard));
}
