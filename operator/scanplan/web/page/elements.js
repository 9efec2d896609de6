// What the pages share: elements, ages, and the words for severities. Whatever a cluster says becomes text, never markup.

const SVG = "http://www.w3.org/2000/svg";
export const ALL = "*"; // in a namespace's place, for the API as well
export const SEVERITIES = ["critical", "high", "medium", "low", "info", "unknown"];

export const at = (id) => document.getElementById(id);

export function make(kind, text = "", attributes = {}) {
  return filled(document.createElement(kind), text, attributes);
}

export function draw(kind, attributes = {}, text = "") {
  return filled(document.createElementNS(SVG, kind), text, attributes);
}

function filled(element, text, attributes) {
  element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

export function age(time) {
  const seconds = Math.max(0, (Date.now() - Date.parse(time)) / 1000);
  for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "m"]]) if (seconds >= size) return `${Math.floor(seconds / size)}${unit}`;
  return Number.isNaN(seconds) ? "–" : `${Math.floor(seconds)}s`;
}

export function counts(numbers) {
  const cell = make("td");
  for (const severity of SEVERITIES) {
    const number = numbers[severity];
    if (number) cell.append(make("span", `${number.toLocaleString("en")} ${severity}`, { class: `severity ${severity}` }));
  }
  return cell;
}
