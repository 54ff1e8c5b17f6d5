// What made the runs: command lines, machine, versions, options.

function factTable(rows) {
  const body = make("tbody");
  for (const [name, value] of rows) {
    if (value === undefined || value === null || value === "" || value.length === 0) continue;
    body.append(make("tr", {}, make("th", {scope: "row"}, name), make("td", {}, String(value))));
  }
  return make("table", {}, body);
}

function shellWord(word) {
  return /^[\w@%+=:,.\/-]+$/.test(word) ? word : "'" + word.replaceAll("'", "'\\''") + "'";
}

function sessionFacts(session) {
  return [["started", session.started], ["from step", session.from_step], ["command", (session.command ?? []).map(shellWord).join(" ")],
    ["treepo", session.treepo], ["PyTorch", session.torch], ["compiler", session.compiler], ["system", session.system], ["CPU", session.cpu],
    ["cores, threads", session.cores === undefined ? "" : `${session.cores}, ${session.threads}`],
    ["memory", session.memory_bytes ? (session.memory_bytes / 2 ** 30).toFixed(1) + " GiB" : ""], ["device", session.device],
    ["GPUs", (session.gpus ?? []).join(", ")]];
}

function makeRunFacts(run) {
  const box = make("div", {}, make("h3", {}, make("span", {class: "swatch", style: `background: ${run.color}`}), " ", run.name));
  const sessions = run.record?.sessions ?? [];
  if (sessions.length === 0) box.append(make("p", {class: "quiet"}, "No run.json: machine, versions and command line are not recorded."));
  sessions.forEach((session, i) => {
    if (sessions.length > 1) box.append(make("p", {class: "part"}, i === 0 ? "first started" : `resumed, ${i} of ${sessions.length - 1}`));
    box.append(factTable(sessionFacts(session)));
  });
  return box;
}

// One row for each option; what differs between runs, or from the default, stands out.
function optionRows(all) {
  const keys = [...new Set(runs.flatMap((run) => run.config.map(([key]) => key)))];
  const values = runs.map((run) => new Map(run.config.map(([key, value, standard]) => [key, {value, standard}])));
  return keys.map((key) => {
    const cells = values.map((map) => map.get(key));
    const differs = runs.length > 1 && new Set(cells.map((cell) => cell?.value)).size > 1;
    const changed = cells.some((cell) => cell && !cell.standard);
    if (!all && !differs && !changed) return null;
    const row = make("tr", differs ? {class: "differs"} : {}, make("td", {class: "mono"}, key));
    for (const cell of cells) row.append(make("td", {class: "mono" + (cell && !cell.standard ? " changed" : "")}, cell?.value ?? "–"));
    return row;
  }).filter((row) => row !== null);
}

function setUpRun(section) {
  section.append(make("div", {class: "facts"}, ...runs.map(makeRunFacts)));
  if (runs.every((run) => run.config.length === 0)) {
    section.append(make("p", {class: "empty"}, "No config.toml was found."));
    return;
  }
  const body = make("tbody"), all = make("input", {type: "checkbox"});
  const fill = () => body.replaceChildren(...optionRows(all.checked));
  all.addEventListener("change", fill);
  fill();
  section.append(make("div", {class: "controls"}, make("h3", {}, "Options"), make("label", {}, all, "also those at their default"),
    make("span", {class: "quiet"}, runs.length > 1 ? "marked: differs between runs; bold: not the default" : "bold: not the default")));
  section.append(make("div", {class: "facts"}, make("div", {}, make("table", {}, make("thead", {}, make("tr", {}, make("th", {}, "option"), ...runs.map((run) => make("th", {}, run.name)))), body))));
}
