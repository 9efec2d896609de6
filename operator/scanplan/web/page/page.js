// The page: a table of plans that follows the stream of events. Whatever a cluster says becomes text, never markup.

import { ALL, SEVERITIES, age, at, counts, draw as drawn, make } from "./elements.js";
import * as running from "./running.js";

const PAGE = 100;
const TRENDS = 6;
const RETRY_MILLISECONDS = 3000;
const PHASES = ["Pending", "Queued", "Running", "Retrying", "Suspended", "Completed", "Failed", "Cancelled"];

const plans = new Map();
let session = null;
let namespace = "";
let stream = null;
let again;
let page = 0;
let chosen = "";
let detailed;
let drawing = false;

function address(plan, rest) {
  return `/api/v1/tasks/${encodeURIComponent(plan.name)}/${rest}?namespace=${encodeURIComponent(plan.namespace)}`;
}

function link(plan, text, rest) {
  return make("a", text, { href: address(plan, rest), rel: "noreferrer", "data-key": `${plan.uid} ${rest}` });
}

function titleOf(plan) {
  return namespace === ALL ? `${plan.namespace}/${plan.name}` : plan.name;
}

// the table

function wanted() {
  const text = at("text").value.toLowerCase();
  const phase = at("phase").value;
  const severity = at("severity").value;
  return [...plans.values()]
    .filter((plan) => [plan.name, plan.project, plan.namespace].some((each) => each.toLowerCase().includes(text)))
    .filter((plan) => (!phase || plan.phase === phase) && (!severity || plan.findings[severity] > 0))
    .sort((one, other) => other.created.localeCompare(one.created) || titleOf(one).localeCompare(titleOf(other)));
}

function findingsOf(plan) {
  const cell = counts(plan.findings);
  if (!cell.childElementCount) cell.textContent = plan.findings.total === 0 ? "none" : "–";
  return cell;
}

function shardsOf(plan) {
  const cell = make("td");
  const { total, succeeded, failed } = plan.shards;
  if (total) {
    const done = succeeded + failed;
    cell.append(make("progress", "", { value: done, max: total, "aria-label": `shards of ${titleOf(plan)}` }), `${done}/${total}`);
    if (failed) cell.append(make("span", ` ${failed} failed`, { class: "high" }));
  } else cell.textContent = "–";
  return cell;
}

function projectOfRow(plan) {
  const cell = make("td");
  const query = new URLSearchParams({ namespace: plan.namespace, project: plan.project || plan.namespace });
  cell.append(make("a", plan.project || plan.namespace, { href: `findings?${query}`, "data-key": `${plan.uid} project` }));
  return cell;
}

function rowOf(plan) {
  const open = plan.uid === chosen;
  const row = make("tr", "", open ? { class: "chosen" } : {});
  const head = make("th", "", { scope: "row" });
  const marks = { type: "button", class: "name", "data-plan": plan.uid, "data-key": plan.uid, "aria-expanded": open, "aria-controls": "detail" };
  head.append(make("button", plan.name, marks));
  const state = make("td");
  state.append(make("span", plan.phase, { class: `phase ${PHASES.includes(plan.phase) ? plan.phase : ""}` }));
  const ready = plan.conditions.find((each) => each.type === "Ready");
  if (plan.reason) state.append(make("span", ` ${plan.reason}`, { class: "reason", title: ready?.message ?? "" }));
  const reports = make("td");
  if (plan.files.length && !plan.cluster)
    for (const kind of ["html", "csv", "sarif"]) reports.append(link(plan, kind, `reports/${kind}`), " ");
  row.append(head, make("td", plan.namespace, { class: "of" }), projectOfRow(plan), state, shardsOf(plan), findingsOf(plan), make("td", age(plan.created)), reports);
  return row;
}

function draw() {
  drawing = false;
  const found = wanted();
  const pages = Math.max(1, Math.ceil(found.length / PAGE));
  page = Math.min(page, pages - 1);
  const focused = document.activeElement?.dataset?.key;
  at("rows").replaceChildren(...found.slice(page * PAGE, (page + 1) * PAGE).map(rowOf));
  if (focused) inRows(focused)?.focus();
  at("count").textContent = `${found.length} of ${plans.size} plans`;
  at("pages").textContent = `Page ${page + 1} of ${pages}`;
  at("before").disabled = page === 0;
  at("after").disabled = page >= pages - 1;
  drawDetail();
  drawTrends();
}

function inRows(key) {
  return [...at("rows").querySelectorAll("[data-key]")].find((each) => each.dataset.key === key);
}

function soon() {
  if (!drawing) requestAnimationFrame(draw);
  drawing = true;
}

// one plan

function drawDetail() {
  const plan = plans.get(chosen);
  if (plan === detailed) return; // what has the focus in it stays
  detailed = plan;
  at("detail").hidden = !plan;
  if (!plan || !running.isShown(plan)) running.hide();
  if (!plan) return;
  const table = make("table");
  const head = make("tr");
  for (const name of ["Condition", "Status", "Reason", "Message"]) head.append(make("th", name, { scope: "col" }));
  table.append(head);
  for (const each of plan.conditions) {
    const row = make("tr");
    for (const name of ["type", "status", "reason", "message"]) row.append(make("td", each[name]));
    table.append(row);
  }
  const files = make("p", plan.files.length ? "Artifacts: " : "No artifacts.");
  if (plan.cluster) files.append(`in cluster ${plan.cluster}`);
  else for (const name of plan.files) files.append(link(plan, name, `artifacts/${encodeURIComponent(name)}`), " ");
  if (["Running", "Retrying"].includes(plan.phase) && !plan.cluster)
    files.append(" ", make("button", "Show findings so far", { type: "button", "data-running": plan.uid, "data-key": "running" }));
  const times = `Attempts: ${plan.attempts}. Started: ${plan.started ?? "–"}. Ended: ${plan.completed ?? "–"}.`;
  const focused = at("detail").contains(document.activeElement) ? document.activeElement.dataset.key : null;
  at("detail").replaceChildren(make("h2", titleOf(plan)), make("p", times), table, files);
  if (focused) [...files.children].find((each) => each.dataset.key === focused)?.focus();
}

// findings of a project's ended scans, oldest first

function drawTrends() {
  const projects = new Map();
  for (const plan of plans.values())
    if (plan.completed && plan.findings.total !== undefined)
      projects.set(projectOf(plan), [...(projects.get(projectOf(plan)) ?? []), plan]);
  const shown = [...projects].filter(([, scans]) => scans.length > 1).sort((one, other) => other[1].length - one[1].length);
  at("trends").replaceChildren(...shown.slice(0, TRENDS).map(([project, scans]) => trend(project, scans)));
}

function projectOf(plan) {
  return namespace === ALL ? `${plan.namespace}/${plan.project}` : plan.project;
}

function trend(project, scans) {
  scans.sort((one, other) => one.completed.localeCompare(other.completed));
  const totals = scans.slice(-50).map((plan) => plan.findings.total);
  const most = totals.reduce((one, other) => Math.max(one, other), 1);
  const points = totals.map((total, index) => `${2 + (index * 156) / (totals.length - 1)},${38 - (total * 36) / most}`);
  const figure = make("figure");
  const label = `findings of ${totals.length} scans: first ${totals[0]}, last ${totals.at(-1)}`;
  const image = drawn("svg", { viewBox: "0 0 160 40", width: 160, height: 40, role: "img", "aria-label": label });
  image.append(drawn("polyline", { points: points.join(" ") }));
  figure.append(make("figcaption", `${project}: ${totals[0]} → ${totals.at(-1)}`), image);
  return figure;
}

// the stream

function say(text) {
  at("state").textContent = text;
}

function sayLive() {
  say(namespace === ALL ? "Live: all namespaces that you may list" : `Live: ${namespace}`);
}

function watch() {
  stream?.close();
  plans.clear();
  const url = `/api/v1/events?namespace=${encodeURIComponent(namespace)}`;
  stream = new EventSource(url);
  const own = stream;
  stream.addEventListener("snapshot", (message) => {
    plans.clear();
    for (const plan of JSON.parse(message.data).plans) plans.set(plan.uid, plan);
    sayLive();
    soon();
  });
  stream.addEventListener("change", (message) => {
    const { plans: changed, gone } = JSON.parse(message.data);
    for (const uid of gone) plans.delete(uid);
    for (const plan of changed) plans.set(plan.uid, plan);
    sayLive();
    soon();
  });
  stream.addEventListener("trouble", (message) => say(JSON.parse(message.data).detail));
  stream.addEventListener("refused", () => start());
  stream.addEventListener("error", async () => {
    if (own.readyState !== EventSource.CLOSED) return say("Connecting again");
    const answer = await fetch(url).catch(() => null); // the reason, which an event stream keeps to itself
    if (own !== stream) return;
    if (answer?.status === 401) return start();
    if (answer && !answer.ok) say((await answer.json()).detail ?? `HTTP ${answer.status}`);
    else say("The API is away");
    answer?.body?.cancel().catch(() => null);
    if (answer === null || answer.ok || answer.status >= 500) setTimeout(() => own === stream && watch(), RETRY_MILLISECONDS);
  });
}

async function start() {
  stream?.close();
  clearTimeout(again);
  const answer = await fetch("/session").catch(() => null);
  if (!answer?.ok) {
    again = setTimeout(start, RETRY_MILLISECONDS);
    return say("The API is away");
  }
  session = await answer.json();
  const asked = new URLSearchParams(location.search);
  if (session.known && asked.has("findings")) return location.replace(`/findings?${new URLSearchParams(asked.get("findings"))}`);
  namespace ||= asked.get("namespace") ?? session.namespace;
  at("over-time").href = `findings?namespace=${encodeURIComponent(namespace)}`;
  at("namespace").value = namespace === ALL ? "" : namespace;
  at("plans").classList.toggle("everywhere", namespace === ALL);
  at("login").hidden = session.known;
  at("content").hidden = !session.known;
  at("logout").hidden = !session.known || session.open;
  at("command").textContent = `kubectl create token NAME --namespace NAMESPACE --audience ${session.audience} --duration 8h`;
  if (session.known) return watch();
  plans.clear();
  draw();
  say("Not logged in");
  at("token").focus();
}

at("login-form").addEventListener("submit", async (submit) => {
  submit.preventDefault();
  const answer = await fetch("/login", { method: "POST", body: new URLSearchParams({ token: at("token").value }) });
  at("token").value = "";
  at("login-problem").textContent = answer.ok ? "" : (await answer.json()).detail;
  if (answer.ok) start();
});
at("logout").addEventListener("click", async () => {
  await fetch("/logout", { method: "POST" });
  start();
});
function go(place) {
  namespace = place;
  history.replaceState(null, "", `?namespace=${encodeURIComponent(namespace)}`);
  chosen = "";
  page = 0;
  start();
}

at("place").addEventListener("submit", (submit) => {
  submit.preventDefault();
  go(at("namespace").value.trim() || ALL);
});
at("everywhere").addEventListener("click", () => go(ALL));
at("filter").addEventListener("submit", (submit) => submit.preventDefault());
at("filter").addEventListener("input", () => {
  page = 0;
  soon();
});
for (const [id, step] of [["before", -1], ["after", 1]])
  at(id).addEventListener("click", () => {
    page += step;
    soon();
  });
at("rows").addEventListener("click", ({ target }) => {
  const uid = target.dataset.plan;
  if (!uid) return;
  chosen = chosen === uid ? "" : uid;
  draw();
  if (chosen) at("detail").focus();
});
at("detail").addEventListener("click", ({ target }) => {
  const plan = plans.get(target.dataset.running);
  if (!plan) return;
  running.show(plan, titleOf(plan), address(plan, "running"));
  at("running").focus();
});
at("detail").addEventListener("keydown", ({ key }) => {
  if (key !== "Escape") return;
  const uid = chosen;
  chosen = "";
  draw();
  (inRows(uid) ?? at("plans")).focus();
});
for (const [id, values] of [["phase", PHASES], ["severity", SEVERITIES]])
  at(id).append(...values.map((value) => make("option", value, { value })));
setInterval(soon, 30000);
start();
