// Numbers and text for people, and elements without markup from data.

function formatNumber(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e6) return value.toLocaleString("en-US");
  if (size >= 1e6) return formatBig(value);
  if (size >= 1000) return Math.round(value).toLocaleString("en-US");
  if (size !== 0 && size < 1e-3) return value.toExponential(2);
  return String(Number(value.toPrecision(4)));
}

function formatBig(value) {
  const size = Math.abs(value);
  for (const [unit, letter] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]])
    if (size >= unit) return String(Number((value / unit).toPrecision(3))) + " " + letter;
  return String(value);
}

function formatTick(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6) return formatBig(value);
  if (size >= 1e3) return value.toLocaleString("en-US");
  if (size < 1e-3) return value.toExponential(1).replace(".0e", "e");
  return String(Number(value.toPrecision(5)));
}

function formatDuration(seconds) {
  if (seconds < 60) return seconds.toFixed(seconds < 10 ? 1 : 0) + " s";
  const whole = Math.round(seconds), two = (n) => String(n).padStart(2, "0");
  const minutes = Math.floor(whole / 60), hours = Math.floor(minutes / 60);
  return hours > 0 ? `${hours}:${two(minutes % 60)}:${two(whole % 60)} h`
                   : `${minutes}:${two(whole % 60)} min`;
}

function formatSigned(value) {
  if (value === undefined || value === null) return "–";
  return (value > 0 ? "+" : "") + String(Number(value.toPrecision(3)));
}

// make("p", {class: "quiet"}, "text", child, …): strings become text nodes, never markup.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function makeSvg(tag, attributes = {}, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

// Characters that show nothing or turn the text around them, by their code.
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]/;

function codeName(character) {
  const code = character.codePointAt(0);
  return code < 32 ? String.fromCharCode(0x2400 + code)
                   : "U+" + code.toString(16).toUpperCase().padStart(4, "0");
}

// The text's one line for a label: hidden characters by name, line ends as arrows.
function oneLine(text, length) {
  let line = "", count = 0;
  for (const character of text) {
    if (++count > length) return line + "…";
    line += character === "\n" ? "↵" : character === "\t" ? "→"
          : HIDDEN.test(character) ? codeName(character) : character;
  }
  return line;
}

// Adds text to an element; a hidden character becomes a visible mark.
function appendVisible(element, text) {
  let plain = "";
  for (const character of text) {
    if (!HIDDEN.test(character)) {
      plain += character;
      continue;
    }
    if (plain) element.append(plain);
    plain = "";
    element.append(make("span", {class: "control"}, codeName(character)));
  }
  if (plain) element.append(plain);
}
