// The text of one path, segment by segment; a token's ground tells how unlikely it was.

const MOST_DOUBT = 3;  // nats, at which the ground is fullest

function doubtColor(hundredths) {
  const share = Math.min(1, hundredths / 100 / MOST_DOUBT);
  return share < 0.02 ? "" : `background: rgba(var(--doubt), ${(0.65 * share).toFixed(2)})`;
}

// The node's text as far as the path uses it: `used` tokens.
function passage(node, used) {
  const element = make("div", {class: "passage", dir: "auto"});
  if (!Array.isArray(node.t)) {
    appendVisible(element, node.t ?? "");
    if (used < node.n) element.append(make("span", {class: "quiet"}, ` (${used} of ${node.n} tokens are on this path)`));
    return element;
  }
  node.t.slice(0, used).forEach((text, i) => {
    const token = make("bdi", {});
    if (node.lp) {
      token.setAttribute("style", doubtColor(node.lp[i]));
      token.title = `log-prob ${(-node.lp[i] / 100).toFixed(2)}`;
    }
    appendVisible(token, text);
    element.append(token);
  });
  return element;
}

function definitions(pairs) {
  const list = make("dl");
  for (const [name, value] of pairs) {
    if (value === undefined || value === "") continue;
    const cell = make("dd", {dir: "auto"});
    appendVisible(cell, String(value));
    list.append(make("dt", {}, name), cell);
  }
  return list;
}

function segmentFacts(node, used) {
  const facts = [`${used < node.n ? used + " of " : ""}${node.n} tokens`];
  if (node.l !== undefined) facts.push(`mean log-prob ${node.l.toFixed(3)}`);
  if (node.e !== undefined) facts.push(`entropy ${node.e.toFixed(3)}`);
  if (node.advantage !== undefined) facts.push(`advantage ${formatSigned(node.advantage)}`);
  if (node.f) facts.push("fallback");
  if (node.d) facts.push("discarded");
  if (node.s) facts.push(node.s);
  return facts.join(" · ");
}

function showPath(panel, tree, id) {
  const path = pathTo(tree, id), node = tree.nodes[id], leaf = node.leaf;
  const title = id === 0 ? "Prompt" : leaf ? `Trajectory ${tree.leaves.indexOf(leaf) + 1} of ${tree.leaves.length}` : `Path to segment ${id}`;
  panel.replaceChildren(make("h3", {}, title));
  panel.append(definitions(leaf
    ? [["reward", leaf.r], ["verdict", leaf.w], ["score", leaf.s], ["advantage", leaf.a === undefined ? undefined : formatSigned(leaf.a)], ["tokens", leaf.k], ["ended by", node.s]]
    : [["leaves below", node.leaves.length], ["mean reward", node.reward === undefined ? undefined : Number(node.reward.toPrecision(3))], ["mean advantage", node.advantage === undefined ? undefined : formatSigned(node.advantage)]]));
  panel.append(make("div", {class: "part"}, "prompt"));
  const prompt = make("div", {class: "passage", dir: "auto"});
  appendVisible(prompt, tree.prompt || "(its text is not in this log)");
  panel.append(prompt);
  path.slice(1).forEach((step, i) => {
    const one = tree.nodes[step], next = tree.nodes[path[i + 2]];
    const used = next?.u ?? one.n;
    panel.append(make("div", {class: "part"}, `segment ${step}: ${segmentFacts(one, used)}`), passage(one, used));
  });
  if (tree.answer) panel.append(definitions([["expected answer", tree.answer]]));
  if (tree.detail === "tokens") {
    panel.append(make("p", {class: "part"}, "log-prob 0 ", make("span", {class: "scale", style: "background: linear-gradient(90deg, transparent, rgba(var(--doubt), .65))"}), ` −${MOST_DOUBT} and below`));
  } else {
    panel.append(make("p", {class: "part"}, tree.detail === "no_tokens" ? "The log has no single tokens of this tree." : tree.detail === "segments" ? "This tree is shown without its single tokens, for the page's size." : "Of this tree's texts only the beginnings are here, for the page's size."));
  }
  panel.scrollTop = 0;
}
