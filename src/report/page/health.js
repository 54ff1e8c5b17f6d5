// The findings that the program computed from the whole log.

const LEVELS = {problem: ["✕ problem", 0], watch: ["! watch", 1], good: ["✓ good", 2], unknown: ["· not known", 3]};

function makeFinding(finding) {
  const element = make("div", {class: "finding"}, make("div", {class: "head"}, make("h3", {}, finding.name), make("span", {class: "level"}, LEVELS[finding.level][0])),
    make("p", {}, finding.found));
  element.dataset.level = finding.level;
  if (finding.advice) element.append(make("p", {}, make("b", {}, "Try: "), finding.advice));
  element.append(make("p", {class: "limit"}, finding.limit));
  return element;
}

function setUpHealth(section) {
  for (const run of runs) {
    if (runs.length > 1) section.append(make("p", {}, make("span", {class: "swatch", style: `background: ${run.color}`}), " ", run.name));
    const sorted = [...run.health].sort((a, b) => LEVELS[a.level][1] - LEVELS[b.level][1]);
    section.append(make("div", {class: "findings"}, ...sorted.map(makeFinding)));
  }
}
