// One line chart as SVG, with hover, keyboard and a cursor that all charts share.

const PLOT_HEIGHT = 190, PLOT_MARGIN = {left: 52, right: 12, top: 10, bottom: 24};
const plots = new Set();
const tooltip = document.getElementById("tooltip");

// Round numbers that cut [low, high] into about `count` parts.
function ticks(low, high, count) {
  const raw = (high - low) / count, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((f) => f * power).find((s) => s >= raw * 0.999);
  const all = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; ++i) all.push(i * step);
  return all;
}

// Exponential moving average without the pull towards its start; gaps stay gaps.
function smoothed(values, weight) {
  if (weight === 0) return values;
  let sum = 0, mass = 0;
  return values.map((value) => {
    if (value === null) return null;
    sum = weight * sum + (1 - weight) * value;
    mass = weight * mass + (1 - weight);
    return sum / mass;
  });
}

function nearestIndex(xs, x) {
  let low = 0, high = xs.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (xs[middle] <= x) low = middle; else high = middle;
  }
  return Math.abs(xs[low] - x) <= Math.abs(xs[high] - x) ? low : high;
}

function linePath(xs, ys, toX, toY) {
  let path = "", pen = "M";
  for (let i = 0; i < xs.length; ++i) {
    const y = ys[i] === null ? null : toY(ys[i]);
    if (y === null || !Number.isFinite(y)) { pen = "M"; continue; }
    path += pen + toX(xs[i]).toFixed(1) + "," + y.toFixed(1);
    pen = "L";
  }
  return path;
}

function bandPath(series, toX, toY) {
  const points = series.xs.map((x, i) => [x, series.low[i], series.high[i]])
    .filter(([, low, high]) => low !== null && high !== null && low !== undefined);
  if (points.length < 2) return "";
  const top = points.map(([x, , high]) => `${toX(x).toFixed(1)},${toY(high).toFixed(1)}`);
  const bottom = points.reverse().map(([x, low]) => `${toX(x).toFixed(1)},${toY(low).toFixed(1)}`);
  return "M" + top.join("L") + "L" + bottom.join("L") + "Z";
}

// settings(): {axis, smoothing, logScale}; series(): [{name, color, xs, ys, low?, high?}].
class Plot {
  constructor(title, series, settings) {
    this.series = series;
    this.settings = settings;
    this.svg = makeSvg("svg", {class: "plot", tabindex: "0", role: "img", "aria-label": title});
    this.svg.addEventListener("pointermove", (event) => this.point(event));
    this.svg.addEventListener("pointerleave", () => hideCursors());
    this.svg.addEventListener("blur", () => hideCursors());
    this.svg.addEventListener("keydown", (event) => this.key(event));
    plots.add(this);
  }

  draw() {
    this.width = Math.max(this.svg.clientWidth, 200);
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${PLOT_HEIGHT}`);
    const {smoothing, logScale} = this.settings();
    this.lines = this.series().map((one) => ({...one, shown: smoothed(one.ys, smoothing)}));
    this.svg.replaceChildren();
    this.drawn = this.setScales(logScale);
    if (!this.drawn) {
      this.svg.append(makeSvg("text", {x: this.width / 2, y: 95, "text-anchor": "middle"}, "no values"));
      return;
    }
    this.drawAxes(logScale);
    for (const line of this.lines) this.drawLine(line, smoothing);
    this.cursor = makeSvg("g");
    this.svg.append(this.cursor);
  }

  setScales(logScale) {
    let left = Infinity, right = -Infinity, low = Infinity, high = -Infinity;
    for (const line of this.lines) {
      for (let i = 0; i < line.xs.length; ++i) {
        for (const y of [line.ys[i], line.low?.[i], line.high?.[i]]) {
          if (y === null || y === undefined || (logScale && y <= 0)) continue;
          left = Math.min(left, line.xs[i]); right = Math.max(right, line.xs[i]);
          low = Math.min(low, y); high = Math.max(high, y);
        }
      }
    }
    if (low === Infinity) return false;
    if (left === right) { left -= 0.5; right += 0.5; }
    const value = logScale ? Math.log10 : (y) => y;
    low = value(low); high = value(high);
    if (low === high) { const pad = Math.abs(low) * 0.1 || 0.5; low -= pad; high += pad; }
    else { const pad = (high - low) * 0.06; const zero = !logScale && low >= 0; low = zero && low < (high - low) * 0.5 ? 0 : low - pad; high += pad; }
    const {left: l, right: r, top, bottom} = PLOT_MARGIN;
    this.domain = {left, right, low, high};
    this.toX = (x) => l + (x - left) / (right - left) * (this.width - l - r);
    this.toY = (y) => PLOT_HEIGHT - bottom - (value(y) - low) / (high - low) * (PLOT_HEIGHT - top - bottom);
    return true;
  }

  drawAxes(logScale) {
    const {left, right, low, high} = this.domain;
    const bottom = PLOT_HEIGHT - PLOT_MARGIN.bottom, end = this.width - PLOT_MARGIN.right;
    for (const tick of ticks(low, high, 5)) {
      const y = this.toY(logScale ? 10 ** tick : tick);
      this.svg.append(makeSvg("line", {class: "gridline", x1: PLOT_MARGIN.left, x2: end, y1: y, y2: y}),
        makeSvg("text", {x: PLOT_MARGIN.left - 6, y: y + 4, "text-anchor": "end"}, formatTick(logScale ? Number((10 ** tick).toPrecision(2)) : tick)));
    }
    const axis = this.settings().axis;
    const all = ticks(left, right, Math.max(2, Math.floor(this.width / 65))).filter((t) => axis !== "step" || Number.isInteger(t));
    for (const tick of all) {
      this.svg.append(makeSvg("text", {x: Math.min(this.toX(tick), end - 8), y: bottom + 16, "text-anchor": "middle"},
        axis === "seconds" ? formatDuration(tick).replace(/ (h|min)$/, "").replace(".0 s", " s") : formatTick(tick)));
    }
    this.svg.append(makeSvg("line", {class: "axis", x1: PLOT_MARGIN.left, x2: end, y1: bottom, y2: bottom}));
  }

  drawLine(line, smoothing) {
    if (line.low && line.high)
      this.svg.append(makeSvg("path", {class: "band", d: bandPath(line, this.toX, this.toY), style: `fill: ${line.color}`}));
    if (smoothing > 0)
      this.svg.append(makeSvg("path", {class: "raw", d: linePath(line.xs, line.ys, this.toX, this.toY), style: `stroke: ${line.color}`}));
    this.svg.append(makeSvg("path", {class: "curve", d: linePath(line.xs, line.shown, this.toX, this.toY), style: `stroke: ${line.color}`}));
    const few = line.ys.filter((y) => y !== null).length <= 12;
    line.shown.forEach((y, i) => {
      if (few && y !== null && Number.isFinite(this.toY(y)))
        this.svg.append(makeSvg("circle", {cx: this.toX(line.xs[i]), cy: this.toY(y), r: 2.6, style: `fill: ${line.color}`}));
    });
  }

  showCursor(x) {
    if (!this.drawn) return;
    this.cursor.replaceChildren();
    if (x < this.domain.left || x > this.domain.right) return;
    const at = this.toX(x);
    this.cursor.append(makeSvg("line", {class: "cursor", x1: at, x2: at, y1: PLOT_MARGIN.top, y2: PLOT_HEIGHT - PLOT_MARGIN.bottom}));
    for (const line of this.lines) {
      const i = nearestIndex(line.xs, x), y = line.shown[i];
      if (y === null || y === undefined || !Number.isFinite(this.toY(y))) continue;
      this.cursor.append(makeSvg("circle", {class: "dot", cx: this.toX(line.xs[i]), cy: this.toY(y), r: 4, style: `fill: ${line.color}`}));
    }
  }

  point(event) {
    if (!this.drawn) return;
    const bounds = this.svg.getBoundingClientRect();
    const share = (event.clientX - bounds.left - PLOT_MARGIN.left) / (bounds.width - PLOT_MARGIN.left - PLOT_MARGIN.right);
    const {left, right} = this.domain;
    this.show(left + Math.min(1, Math.max(0, share)) * (right - left), event.clientX, event.clientY);
  }

  // The values at the logged point nearest to x, and the cursor in every chart.
  show(x, clientX, clientY) {
    const main = this.lines.reduce((a, b) => (a.xs.length >= b.xs.length ? a : b));
    const exact = main.xs[nearestIndex(main.xs, x)];
    this.x = exact;
    for (const plot of plots) plot.showCursor(exact);
    const {axis, smoothing} = this.settings();
    const rows = this.lines.map((line) => {
      const i = nearestIndex(line.xs, exact);
      const value = formatNumber(line.ys[i]) + (smoothing > 0 ? `  (${formatNumber(line.shown[i])})` : "");
      return make("div", {class: "row"}, make("span", {class: "swatch", style: `background: ${line.color}`}),
        make("span", {class: "name"}, oneLine(line.name, 60)), make("b", {}, line.ys[i] === null ? "not finite" : value));
    });
    const where = axis === "seconds" ? formatDuration(exact) : `${axis} ${formatNumber(exact)}`;
    const thinned = main.thinned ? `, mean of ${main.thinned}` : "";
    tooltip.replaceChildren(make("div", {class: "quiet"}, where + thinned + (smoothing > 0 ? ", smoothed in brackets" : "")), ...rows);
    tooltip.hidden = false;
    const width = tooltip.offsetWidth, height = tooltip.offsetHeight;
    tooltip.style.left = Math.max(4, clientX + 16 + width > innerWidth ? clientX - width - 16 : clientX + 16) + "px";
    tooltip.style.top = Math.max(4, Math.min(clientY + 14, innerHeight - height - 8)) + "px";
  }

  key(event) {
    const moves = {ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity};
    if (event.key === "Escape") return hideCursors();
    if (!(event.key in moves) || !this.drawn) return;
    event.preventDefault();
    const xs = this.lines.reduce((a, b) => (a.xs.length >= b.xs.length ? a : b)).xs;
    const now = this.x === undefined ? 0 : nearestIndex(xs, this.x);
    const next = Math.min(xs.length - 1, Math.max(0, now + moves[event.key]));
    const bounds = this.svg.getBoundingClientRect();
    this.show(xs[next], bounds.left + this.toX(xs[next]), bounds.top + 40);
  }
}

function hideCursors() {
  tooltip.hidden = true;
  for (const plot of plots) plot.cursor?.replaceChildren();
}
