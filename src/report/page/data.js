// What the page shows: the runs of the JSON element, and which of them are visible.

const report = JSON.parse(document.getElementById("data").textContent);
const runs = report.runs;
runs.forEach((run, index) => {
  run.index = index;
  run.color = `var(--c${index % 8})`;
  run.visible = true;
});

function visibleRuns() {
  return runs.filter((run) => run.visible);
}

// Names of all metrics of all runs, sorted.
function metricNames() {
  const names = new Set();
  for (const run of runs)
    for (const table of run.tables)
      for (const name of Object.keys(table.columns)) names.add(name);
  return [...names].sort();
}

function tableOf(run, name) {
  return run.tables.find((table) => name in table.columns);
}

// The metric's points along an axis ("step", "tokens", "seconds"), or null. A warm start has steps
// of its own.
function seriesOf(run, name, axis) {
  const table = tableOf(run, name);
  if (!table) return null;
  const ownSteps = axis === "step" && table.columns["warm_start/step"];
  const column = (suffix) => tableOf(run, name + suffix)?.columns[name + suffix];
  return {
    name: run.name,
    color: run.color,
    xs: ownSteps || table[axis],
    ys: table.columns[name],
    low: table.low?.[name] ?? column("_low"),
    high: table.high?.[name] ?? column("_high"),
    thinned: table.thinned,
  };
}

function lastValue(run, name) {
  const values = tableOf(run, name)?.columns[name] ?? [];
  for (let i = values.length - 1; i >= 0; --i) if (values[i] !== null) return values[i];
  return null;
}

function firstValue(run, name) {
  return tableOf(run, name)?.columns[name].find((value) => value !== null) ?? null;
}
