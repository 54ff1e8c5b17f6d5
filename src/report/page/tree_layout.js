// Where the segments of a tree lie: depth to the right, one row for each leaf.

const BOX = {width: 118, height: 34, gapX: 34, gapY: 8};

// Adds children, rewards and advantages below each node to a tree as it was logged.
function prepareTree(tree) {
  if (tree.prepared) return tree;
  const nodes = tree.nodes;
  nodes.forEach((node, id) => Object.assign(node, {id, children: [], leaf: null, leaves: []}));
  nodes.forEach((node) => { if (node.p >= 0) nodes[node.p].children.push(node.id); });
  for (const leaf of tree.leaves) {
    nodes[leaf.n].leaf = leaf;
    for (let id = leaf.n; id >= 0; id = nodes[id].p) nodes[id].leaves.push(leaf);
  }
  const mean = (values) => values.length === 0 ? undefined : values.reduce((a, b) => a + b, 0) / values.length;
  const known = (leaves, key) => leaves.map((leaf) => leaf[key]).filter((value) => value !== undefined);
  nodes.forEach((node, id) => {
    node.depth = id === 0 ? 0 : nodes[node.p].depth + 1;
    node.reward = mean(known(node.leaves, "r"));
    node.advantage = node.a ?? mean(known(node.leaves, "a"));
  });
  const rewards = known(tree.leaves, "r");
  tree.rewardRange = rewards.length ? [Math.min(0, ...rewards), Math.max(1, ...rewards)] : null;
  tree.longest = Math.max(1, ...nodes.map((node, id) => (id === 0 ? 0 : node.n)));
  tree.prepared = true;
  return tree;
}

// [{node, x, y, folded}] of what is shown, in drawing order, and the size of the whole.
function layOut(tree, folded) {
  const places = new Map();
  let row = 0, deepest = 0;
  const stack = [[0, false]];
  while (stack.length > 0) {
    const [id, done] = stack.pop();
    const node = tree.nodes[id];
    const inside = folded.has(id) ? [] : node.children;
    if (!done && inside.length > 0) {
      stack.push([id, true]);
      for (let i = inside.length - 1; i >= 0; --i) stack.push([inside[i], false]);
      continue;
    }
    const rows = inside.map((child) => places.get(child).row);
    const own = rows.length > 0 ? (rows[0] + rows[rows.length - 1]) / 2 : row++;
    deepest = Math.max(deepest, node.depth);
    places.set(id, {node, row: own, folded: folded.has(id)});
  }
  for (const place of places.values()) {
    place.x = place.node.depth * (BOX.width + BOX.gapX);
    place.y = place.row * (BOX.height + BOX.gapY);
  }
  return {places, width: (deepest + 1) * (BOX.width + BOX.gapX) + 150, height: row * (BOX.height + BOX.gapY)};
}

function pathTo(tree, id) {
  const path = [];
  for (; id >= 0; id = tree.nodes[id].p) path.unshift(id);
  return path;
}

// Orange for the least reward, blue for the greatest, paler between them.
function rewardColor(tree, reward, strength = 1) {
  if (reward === undefined || !tree.rewardRange) return "var(--panel)";
  const [low, high] = tree.rewardRange;
  const share = high > low ? (reward - low) / (high - low) : 1;
  const alpha = Math.abs(share - 0.5) * 2 * 0.52 * strength + 0.08;
  return `rgba(var(${share < 0.5 ? "--low" : "--high"}), ${alpha.toFixed(2)})`;
}
