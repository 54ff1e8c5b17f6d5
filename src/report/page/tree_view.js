// Draws one tree; pan by dragging, zoom with the wheel (Ctrl, or once the tree has the focus).

class TreeView {
  constructor(onSelect) {
    this.onSelect = onSelect;
    this.svg = makeSvg("svg", {tabindex: "0", role: "tree", "aria-label": "tree of answers; arrow keys go from segment to segment"});
    this.layer = makeSvg("g");
    this.svg.append(this.layer);
    this.element = make("div", {class: "stage"}, this.svg, this.tools(), this.key());
    this.svg.addEventListener("pointerdown", (event) => this.startDrag(event));
    this.svg.addEventListener("wheel", (event) => this.wheel(event), {passive: false});
    this.svg.addEventListener("keydown", (event) => this.press(event));
  }

  tools() {
    const button = (text, title, action) => {
      const element = make("button", {type: "button", title}, text);
      element.addEventListener("click", action);
      return element;
    };
    return make("div", {class: "tools"}, button("+", "zoom in (+)", () => this.zoom(1.3)),
      button("−", "zoom out (-)", () => this.zoom(1 / 1.3)), button("Fit", "the whole tree (0)", () => this.fit()),
      button("Fold", "only what branches near the prompt (f)", () => this.foldDeep()),
      button("Unfold", "everything (u)", () => { this.folded.clear(); this.draw(); this.fit(); }));
  }

  key() {
    const entry = (style, text) => make("span", {}, make("i", {style}), text);
    return make("div", {class: "key"}, entry("background: rgba(var(--low), .6)", "least reward"),
      entry("background: rgba(var(--high), .6)", "greatest reward"),
      entry("border-top: 2px dashed var(--watch); height: 0; border-radius: 0; vertical-align: 3px", "fallback"),
      entry("border: 1px dashed var(--quiet)", "discarded"));
  }

  show(tree) {
    this.tree = prepareTree(tree);
    this.folded = new Set();
    this.selected = null;
    this.draw();
    this.fit();
  }

  draw() {
    const {places, width, height} = layOut(this.tree, this.folded);
    Object.assign(this, {places, width, height});
    const path = new Set(this.selected === null ? [] : pathTo(this.tree, this.selected));
    const edges = [], boxes = [];
    for (const place of places.values()) {
      if (place.node.id > 0) edges.push(this.edge(place, path));
      boxes.push(this.box(place, path.has(place.node.id)));
      if (place.node.children.length > 0) boxes.push(this.fold(place));
    }
    this.layer.replaceChildren(...edges, ...boxes);
  }

  // From the token of the parent after which the path leaves it. Trunks of many leaves are thick.
  edge(place, path) {
    const from = this.places.get(place.node.p), node = place.node, parent = from.node;
    const share = parent.id === 0 || node.u === undefined ? 1 : node.u / Math.max(1, parent.n);
    const inside = share < 1;
    const x1 = from.x + BOX.width * share, y1 = from.y + BOX.height / 2 + (inside ? BOX.height / 2 : 0);
    const x2 = place.x, y2 = place.y + BOX.height / 2, middle = Math.max((x1 + x2) / 2, x2 - BOX.gapX * 0.7);
    const width = Math.min(9, 1 + 1.6 * Math.log2(Math.max(1, node.leaves.length)));
    return makeSvg("path", {
      class: "edge" + (node.f ? " fallback" : "") + (path.has(node.id) ? " on-path" : ""),
      d: `M${x1},${y1}C${middle},${y1} ${middle},${y2} ${x2},${y2}`, "stroke-width": width.toFixed(1),
    });
  }

  box(place, onPath) {
    const {node, x, y} = place, tree = this.tree, leaf = node.leaf;
    const group = makeSvg("g", {class: "segment" + (onPath ? " on-path" : "") + (node.d ? " discarded" : ""), transform: `translate(${x},${y})`, role: "treeitem"});
    group.dataset.node = node.id;
    group.append(makeSvg("rect", {class: "box", width: BOX.width, height: BOX.height, rx: 5}),
      makeSvg("rect", {width: BOX.width, height: BOX.height, rx: 5, style: `fill: ${rewardColor(tree, node.reward, leaf ? 1 : 0.45)}`}));
    const title = node.id === 0 ? `prompt · ${tree.leaves.length} leaves`
      : `${node.n} tok` + (node.l === undefined ? "" : ` · ${node.l.toFixed(2)}`) + (node.s ? ` · ${node.s}` : "");
    const words = node.id === 0 ? tree.prompt : Array.isArray(node.t) ? node.t.slice(0, 24).join("") : node.t ?? "";
    group.append(makeSvg("text", {x: 7, y: 14}, title.slice(0, 22)), makeSvg("text", {class: "words", x: 7, y: 27}, oneLine(words.slice(0, 60), 16)));
    if (node.id > 0) group.append(makeSvg("rect", {class: "length", x: 0, y: BOX.height - 3, width: Math.max(2, BOX.width * node.n / tree.longest), height: 3, rx: 1.5}));
    const after = place.folded ? `${node.leaves.length} leaves, reward ${formatSigned(node.reward)}`
      : leaf ? `reward ${leaf.r === undefined ? "–" : Number(leaf.r.toPrecision(3))}` + (leaf.a === undefined ? "" : ` · adv ${formatSigned(leaf.a)}`) : "";
    if (after) group.append(makeSvg("text", {x: BOX.width + (place.folded ? 20 : 8), y: 21}, after));
    else if (node.advantage !== undefined && node.id > 0) group.append(makeSvg("title", {}, `advantage ${formatSigned(node.advantage)}, reward ${formatSigned(node.reward)}, ${node.leaves.length} leaves below`));
    group.addEventListener("click", () => { if (!this.dragged) this.select(node.id); });
    return group;
  }

  fold(place) {
    const group = makeSvg("g", {class: "fold", transform: `translate(${place.x + BOX.width + 8},${place.y + BOX.height / 2})`});
    group.append(makeSvg("circle", {r: 6}), makeSvg("text", {y: 4}, place.folded ? "+" : "−"));
    group.addEventListener("click", () => { if (!this.dragged) this.toggle(place.node.id); });
    return group;
  }

  toggle(id) {
    if (!this.folded.delete(id)) this.folded.add(id);
    this.draw();
  }

  // Folds every node of the depth by which the tree has about a screenful of branches.
  foldDeep() {
    const byDepth = [];
    for (const node of this.tree.nodes) byDepth[node.depth] = (byDepth[node.depth] ?? 0) + 1;
    let depth = byDepth.findIndex((count) => count >= 12);
    if (depth < 1) depth = Math.max(1, byDepth.length - 2);
    this.folded = new Set(this.tree.nodes.filter((node) => node.depth === depth && node.children.length > 0).map((node) => node.id));
    this.draw();
    this.fit();
  }

  select(id) {
    this.selected = id;
    this.draw();
    this.onSelect(this.tree, id);
  }

  // --- where one looks

  apply() {
    this.layer.setAttribute("transform", `translate(${this.left},${this.top}) scale(${this.scale})`);
  }

  fit() {
    const {clientWidth: width, clientHeight: height} = this.svg;
    this.scale = Math.min(1.25, Math.max(0.04, Math.min((width - 40) / this.width, (height - 90) / this.height)));
    this.left = 20;
    this.top = Math.max(46, (height - this.height * this.scale) / 2);
    this.apply();
  }

  zoom(factor, x = this.svg.clientWidth / 2, y = this.svg.clientHeight / 2) {
    const scale = Math.min(4, Math.max(0.03, this.scale * factor)), change = scale / this.scale;
    this.left = x - (x - this.left) * change;
    this.top = y - (y - this.top) * change;
    this.scale = scale;
    this.apply();
  }

  wheel(event) {
    if (!event.ctrlKey && document.activeElement !== this.svg) return;
    event.preventDefault();
    const bounds = this.svg.getBoundingClientRect();
    this.zoom(Math.exp(-event.deltaY * 0.0016), event.clientX - bounds.left, event.clientY - bounds.top);
  }

  startDrag(event) {
    if (event.button !== 0) return;
    this.dragged = false;
    this.svg.focus({preventScroll: true});
    const start = {x: event.clientX - this.left, y: event.clientY - this.top};
    const move = (next) => {
      if (Math.hypot(next.clientX - event.clientX, next.clientY - event.clientY) > 4) this.dragged = true;
      if (!this.dragged) return;
      this.svg.classList.add("dragging");
      this.left = next.clientX - start.x;
      this.top = next.clientY - start.y;
      this.apply();
    };
    const stop = () => {
      removeEventListener("pointermove", move);
      removeEventListener("pointerup", stop);
      this.svg.classList.remove("dragging");
    };
    addEventListener("pointermove", move);
    addEventListener("pointerup", stop);
  }

  // Moves the view so that a box can be seen.
  reveal(id) {
    const place = this.places.get(id);
    if (!place) return;
    const x = this.left + place.x * this.scale, y = this.top + place.y * this.scale;
    const width = this.svg.clientWidth, height = this.svg.clientHeight;
    if (x < 10) this.left += 30 - x;
    if (x > width - 240 * this.scale) this.left += width - 280 * this.scale - x;
    if (y < 46) this.top += 60 - y;
    if (y > height - 70) this.top += height - 110 - y;
    this.apply();
  }

  press(event) {
    const at = this.selected ?? 0, node = this.tree.nodes[at];
    const shown = [...this.places.values()].filter((place) => place.node.depth === node.depth).sort((a, b) => a.y - b.y);
    const row = shown.findIndex((place) => place.node.id === at);
    const next = {
      ArrowRight: () => (this.folded.has(at) ? at : node.children[0] ?? at),
      ArrowLeft: () => Math.max(0, node.p), ArrowUp: () => shown[Math.max(0, row - 1)]?.node.id ?? at,
      ArrowDown: () => shown[Math.min(shown.length - 1, row + 1)]?.node.id ?? at,
    }[event.key];
    const action = {"+": () => this.zoom(1.3), "=": () => this.zoom(1.3), "-": () => this.zoom(1 / 1.3), "0": () => this.fit(),
      " ": () => { if (node.children.length > 0) this.toggle(at); }, f: () => this.foldDeep(),
      u: () => { this.folded.clear(); this.draw(); this.fit(); }}[event.key];
    if (!next && !action) return;
    event.preventDefault();
    if (action) return action();
    this.select(next());
    this.reveal(this.selected);
  }
}
