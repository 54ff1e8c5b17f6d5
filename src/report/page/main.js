// Puts the page together.

function setUpLegend(element) {
  for (const run of runs) {
    const box = make("input", {type: "checkbox"});
    box.checked = true;
    box.addEventListener("change", () => { run.visible = box.checked; redrawCurves(); });
    const label = make("label", {title: run.folder});
    if (runs.length > 1) label.append(box);
    label.append(make("span", {class: "swatch", style: `background: ${run.color}`}), run.name);
    element.append(label);
  }
}

function setUpKeys() {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    const section = {1: "summary", 2: "health", 3: "curves", 4: "trees", 5: "run"}[event.key];
    if (section) document.getElementById(section).scrollIntoView();
    if (event.key === "t") switchTheme();
    if (event.key === "[") treeChooser?.move(-1);
    if (event.key === "]") treeChooser?.move(1);
    if (event.key === "/") {
      event.preventDefault();
      document.getElementById("filter")?.focus();
    }
  });
}

setUpTheme();
document.title = runs.map((run) => run.name).join(", ") + " – treepo report";
setUpLegend(document.getElementById("legend"));
setUpSummary(document.getElementById("summary"));
setUpHealth(document.getElementById("health"));
setUpCurves(document.getElementById("curves"));
setUpTrees(document.getElementById("trees"));
setUpRun(document.getElementById("run"));
setUpKeys();
document.querySelector("footer").textContent = `Made ${report.made} by treepo ${report.treepo} from the runs' logs. Keys: 1–5 sections, t light or dark, / filter, [ ] steps of the trees; arrow keys in a chart or tree.`;
document.documentElement.dataset.ready = "yes";
