// The first look: where each run stands.

function tile(label, big, more = "") {
  return make("div", {class: "tile"}, make("div", {class: "label"}, label), make("div", {class: "big"}, big), make("div", {class: "more"}, more || "\u00a0"));
}

function percent(value) {
  return (100 * value).toFixed(1) + " %";
}

function changeTile(run, name, label, write) {
  const last = lastValue(run, name);
  if (last === null) return null;
  return tile(label, write(last), "at first " + write(firstValue(run, name)));
}

function maxStep(run) {
  return Math.max(0, ...run.tables.flatMap((table) => table.step));
}

function plannedSteps(run) {
  const option = run.config.find(([key]) => key === "train.max_steps");
  return option ? Number(option[1]) : null;
}

function lastOf(run, axis) {
  return Math.max(0, ...run.tables.map((table) => table[axis][table[axis].length - 1] ?? 0));
}

function tilesOf(run) {
  const planned = plannedSteps(run), step = maxStep(run), counts = {};
  for (const finding of run.health) counts[finding.level] = (counts[finding.level] ?? 0) + 1;
  const health = counts.problem ? `${counts.problem} problem${counts.problem > 1 ? "s" : ""}` : counts.watch ? `${counts.watch} to watch` : "good";
  const share = lastValue(run, "sampling/unique_share");
  return [
    tile("steps", formatNumber(step), planned ? `of ${formatNumber(planned)}` : ""),
    changeTile(run, "eval/pass@1", "held-out pass@1", percent), changeTile(run, "eval/greedy", "held-out greedy", percent),
    changeTile(run, "eval/loss", "test loss", formatNumber), changeTile(run, "success", "success in training", percent),
    changeTile(run, "reward/mean", "mean reward", formatNumber), changeTile(run, "response/tokens_mean", "response tokens", formatNumber),
    changeTile(run, "entropy", "entropy (nats)", formatNumber),
    tile("tokens", formatNumber(lastOf(run, "tokens")), "decoded or learned from"),
    share === null ? null : tile("saved by sharing", percent(1 - share), "of the trajectories' tokens"),
    tile("time", formatDuration(lastOf(run, "seconds")), "in steps and evaluations"),
    tile("health", health, counts.problem && counts.watch ? `${counts.watch} to watch` : ""),
  ].filter((one) => one !== null);
}

function setUpSummary(section) {
  for (const run of runs) {
    section.append(make("h2", {}, make("span", {class: "swatch", style: `background: ${run.color}`}), run.name, make("span", {class: "quiet"}, run.folder)),
      make("div", {class: "tiles"}, ...tilesOf(run)));
    if (run.notes.length > 0) section.append(make("ul", {class: "notes"}, ...run.notes.map((note) => make("li", {}, note))));
  }
}
