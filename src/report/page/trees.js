// The section of trees: choosing run, step and query.

function treeLabel(tree) {
  prepareTree(tree);
  const reward = tree.nodes[0].reward;
  return oneLine(tree.query || "query", 40) + ` · ${tree.leaves.length} leaves` + (reward === undefined ? "" : `, mean reward ${Number(reward.toPrecision(3))}`);
}

function fillSelect(select, labels) {
  select.replaceChildren(...labels.map((label, i) => make("option", {value: i}, label)));
}

class TreeChooser {
  constructor(section, withTrees) {
    this.runs = withTrees;
    this.run = make("select", {"aria-label": "run"});
    this.step = make("select", {"aria-label": "step", id: "tree-step"});
    this.query = make("select", {"aria-label": "query", id: "tree-query"});
    this.panel = make("div", {class: "path", tabindex: "0", "aria-label": "path", "aria-live": "polite"});
    this.view = new TreeView((tree, id) => showPath(this.panel, tree, id));
    const arrow = (text, title, change) => {
      const button = make("button", {type: "button", title}, text);
      button.addEventListener("click", () => this.move(change));
      return button;
    };
    const controls = make("div", {class: "controls"});
    if (withTrees.length > 1) controls.append(make("label", {}, "run", this.run));
    controls.append(make("label", {}, "step", this.step), arrow("‹", "the step before ([)", -1), arrow("›", "the next step (])", 1),
      make("label", {}, "query", this.query), this.facts = make("span", {class: "quiet"}));
    section.append(controls, make("div", {class: "forest"}, this.view.element, this.panel));
    fillSelect(this.run, withTrees.map((run) => run.name));
    this.run.addEventListener("change", () => this.openRun());
    this.step.addEventListener("change", () => this.openStep());
    this.query.addEventListener("change", () => this.openTree());
    this.openRun();
  }

  openRun() {
    const {trees} = this.runs[this.run.selectedIndex];
    this.steps = [...new Set(trees.map((tree) => tree.step))].sort((a, b) => a - b);
    fillSelect(this.step, this.steps.map(String));
    this.step.selectedIndex = this.steps.length - 1;
    this.openStep();
  }

  openStep() {
    const step = this.steps[this.step.selectedIndex];
    this.trees = this.runs[this.run.selectedIndex].trees.filter((tree) => tree.step === step);
    fillSelect(this.query, this.trees.map(treeLabel));
    this.openTree();
  }

  openTree() {
    const tree = this.trees[Math.max(0, this.query.selectedIndex)];
    const unique = tree.nodes.reduce((sum, node, id) => sum + (id === 0 ? 0 : node.n), 0);
    const all = tree.leaves.reduce((sum, leaf) => sum + leaf.k, 0);
    this.facts.textContent = all > 0 ? `${formatNumber(unique)} tokens decoded for ${formatNumber(all)} of trajectories (${Math.round(100 * unique / all)} %)` : "";
    this.view.show(tree);
    const best = tree.leaves.reduce((a, b) => ((b.r ?? 0) > (a?.r ?? -Infinity) ? b : a), null);
    this.view.select(best ? best.n : 0);
  }

  move(change) {
    const next = this.step.selectedIndex + change;
    if (next < 0 || next >= this.steps.length) return;
    this.step.selectedIndex = next;
    this.openStep();
  }
}

let treeChooser = null;

function setUpTrees(section) {
  const withTrees = runs.filter((run) => run.trees.length > 0);
  if (withTrees.length === 0) {
    section.append(make("p", {class: "empty"}, "No trees are logged: samples.jsonl is missing or empty. train.sample_queries says how many trees each step writes."));
    return;
  }
  treeChooser = new TreeChooser(section, withTrees);
}
