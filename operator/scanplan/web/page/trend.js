// A project's open findings over time, by severity: areas in steps on top of each other, and the same numbers as a table.

import { SEVERITIES, draw, make } from "./elements.js";

const WIDTH = 720;
const HEIGHT = 170;
const LEFT = 50;
const RIGHT = 710;
const TOP = 15;
const BASE = 145;

export function trend(points) {
  const figure = make("figure", "", { id: "trend" });
  const shown = SEVERITIES.filter((severity) => points.some((point) => point.open[severity]));
  const last = points.at(-1);
  const caption = make("figcaption", `Open findings from ${points[0].time.slice(0, 10)} to ${last.time.slice(0, 10)}, at the end: `);
  for (const severity of shown) caption.append(make("span", `${number(last, severity)} ${severity}`, { class: `severity ${severity}` }), " ");
  if (!shown.length) caption.append("none");
  figure.append(caption, chart(points, shown, caption.textContent), numbers(points, shown));
  return figure;
}

function number(point, severity) {
  return (point.open[severity] ?? 0).toLocaleString("en");
}

function total(point) {
  return SEVERITIES.reduce((sum, severity) => sum + (point.open[severity] ?? 0), 0);
}

function chart(points, shown, words) {
  const image = draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "xMinYMid", role: "img", "aria-label": words });
  const times = points.map((point) => Date.parse(point.time));
  const most = Math.max(1, ...points.map(total));
  const span = times.at(-1) - times[0];
  const x = (index) => (span ? LEFT + ((times[index] - times[0]) * (RIGHT - LEFT)) / span : LEFT);
  const y = (height) => BASE - (height * (BASE - TOP)) / most;
  for (const [height, top] of [[most, TOP], [0, BASE]]) {
    image.append(draw("line", { x1: LEFT, x2: RIGHT, y1: top, y2: top, class: "grid" }));
    image.append(draw("text", { x: LEFT - 6, y: top + 4, "text-anchor": "end" }, height.toLocaleString("en")));
  }
  let below = points.map(() => 0);
  for (const severity of [...shown].reverse()) {
    const above = points.map((point, index) => below[index] + (point.open[severity] ?? 0));
    image.append(draw("path", { d: area(below, above, x, y), class: severity }));
    below = above;
  }
  image.append(draw("text", { x: LEFT, y: HEIGHT - 6 }, points[0].time.slice(0, 10)));
  if (span) image.append(draw("text", { x: RIGHT, y: HEIGHT - 6, "text-anchor": "end" }, points.at(-1).time.slice(0, 10)));
  return image;
}

function area(below, above, x, y) {
  const steps = (heights) =>
    heights.flatMap((height, index) => [[x(index), y(height)], [index + 1 < heights.length ? x(index + 1) : RIGHT, y(height)]]);
  const corners = [...steps(above), ...steps(below).reverse()];
  return `M${corners.map(([left, top]) => `${left.toFixed(1)},${top.toFixed(1)}`).join("L")}Z`;
}

function numbers(points, shown) {
  const [head, top, body, table, details] = ["tr", "thead", "tbody", "table", "details"].map((kind) => make(kind));
  for (const name of ["Scan of", ...shown, "all"]) head.append(make("th", name, { scope: "col" }));
  for (const point of [...points].reverse()) {
    const row = make("tr");
    row.append(make("th", point.time.slice(0, 16).replace("T", " "), { scope: "row" }));
    for (const severity of shown) row.append(make("td", number(point, severity), { class: severity }));
    row.append(make("td", total(point).toLocaleString("en")));
    body.append(row);
  }
  top.append(head);
  table.append(top, body);
  details.append(make("summary", `The same as numbers: ${points.length} scans that changed something`), table);
  return details;
}
