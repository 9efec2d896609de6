// The findings view: projects, a project's findings, and one finding. The URL says which; the server filters and sorts.

import { ALL, SEVERITIES, age, at, counts, make } from "./elements.js";
import { badges, date, decision, page as findingPage, raw } from "./finding.js";
import { trend } from "./trend.js";

const STATES = { open: "Open", new: "New or back", resolved: "Resolved", all: "All" };
const DECIDED = { all: "With and without", no: "Without", only: "With" };
const LIMITS = ["50", "100", "200", "500", "1000"];
const SORTS = { severity: "Severity", name: "Finding", where: "Where", first_seen: "First seen", last_seen: "Last seen" };
const DEFAULTS = { state: "open", suppressed: "all", sort: "severity", order: "asc", limit: "100" };
const FILTERS = ["state", "severity", "suppressed", "text", "sort", "order", "limit"];
const PLACES = ["after", "before"];
const TITLES = { 401: "You are not logged in", 403: "You may not read these findings", 410: "This page of the list is gone" };

const asked = new URLSearchParams(location.search);
let session = { namespace: "", open: false, known: false };

class Problem extends Error {
  constructor(status, { title = `HTTP ${status}`, detail = "" }) {
    super(detail);
    this.status = status;
    this.title = TITLES[status] ?? title;
  }
}

async function ask(path, parameters) {
  const answer = await fetch(`/api/v1/projects${path}?${new URLSearchParams(parameters)}`).catch(() => null);
  if (!answer) throw new Problem(0, { title: "The API is away", detail: "Nothing answers at this address." });
  const content = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Problem(answer.status, content);
  return content;
}

function link(text, parameters, attributes = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) if (value && DEFAULTS[name] !== value) query.set(name, value);
  return make("a", text, { href: `findings?${query}`, ...attributes });
}

function words(text, ...rest) {
  const paragraph = make("p", text);
  paragraph.append(...rest);
  return paragraph;
}

function table(id, columns) {
  const [head, top, body, scroll] = ["tr", "thead", "tbody", "div"].map((kind) => make(kind));
  const whole = make("table", "", { id });
  for (const column of columns) head.append(typeof column === "string" ? make("th", column, { scope: "col" }) : column);
  top.append(head);
  whole.append(top, body);
  scroll.className = "scroll";
  scroll.append(whole);
  return [scroll, body];
}

function row(...cells) {
  const line = make("tr");
  for (const cell of cells) {
    const box = ["TD", "TH"].includes(cell?.tagName) ? cell : make("td");
    if (box !== cell) box.append(cell);
    line.append(box);
  }
  return line;
}

function written(number, one, several) {
  return `${number.toLocaleString("en")} ${number === 1 ? one : several}`;
}

// projects

async function projects(namespace) {
  const { items } = await ask("", { namespace });
  const everywhere = namespace === ALL;
  const form = make("form", "", { action: "findings", method: "get", class: "line", role: "search", "aria-label": "Choose a namespace" });
  const box = make("input", "", { id: "namespace", name: "namespace", autocomplete: "off", spellcheck: "false", value: everywhere ? "" : namespace });
  form.append(make("label", "Namespace", { for: "namespace" }), box, make("button", "Show"), link("All namespaces", { namespace: ALL }));
  say(written(items.length, "project", "projects"));
  if (!items.length) {
    const where = everywhere ? "the namespaces that you may list" : `namespace ${namespace}`;
    const why = `No scan in ${where} has ended and left a history of its findings. A project appears here with its first result.`;
    return [form, make("h2", "No findings yet"), make("p", why)];
  }
  const [whole, body] = table("projects", ["Project", ...(everywhere ? ["Namespace"] : []), "Open", "New", "Under an exception", "Runs", "Last scan"]);
  for (const each of items) {
    const head = make("th", "", { scope: "row" });
    head.append(link(each.project, { namespace: each.namespace, project: each.project }));
    const open = counts(each.open);
    if (!each.total) open.textContent = "none";
    const last = make("time", age(each.last_scan), { datetime: each.last_scan, title: each.last_scan });
    body.append(row(head, ...(everywhere ? [each.namespace] : []), open, String(each.new), String(each.suppressed), String(each.runs), last));
  }
  return [form, whole];
}

// a project

async function project(namespace, name) {
  const given = (names) => Object.fromEntries(names.filter((each) => asked.get(each)).map((each) => [each, asked.get(each)]));
  const here = { namespace, project: name, ...given(FILTERS) };
  const path = `/${encodeURIComponent(name)}`;
  const found = await ask(`${path}/findings`, { namespace, ...given(FILTERS), ...given(PLACES) });
  const chart = make("div");
  ask(`${path}/trend`, { namespace }).then(
    ({ points }) => points.length && chart.append(trend(points)),
    () => chart.append(make("p", "The trend can't be shown now.")),
  );
  say(written(found.total, "finding", "findings"));
  return [chart, filter(here), ...list(found, here), sources(found)];
}

function field(...parts) {
  const whole = make("span", "", { class: "field" });
  whole.append(...parts);
  return whole;
}

function choice(name, label, options, value) {
  const select = make("select", "", { id: name, name });
  for (const [key, text] of Object.entries(options)) select.append(make("option", text, { value: key, ...(key === value ? { selected: "" } : {}) }));
  return field(make("label", label, { for: name }), select);
}

function filter(here) {
  const form = make("form", "", { id: "filter", role: "search", "aria-label": "Filter findings" });
  const text = make("input", "", { id: "text", type: "search", name: "text", maxlength: "200", autocomplete: "off", value: here.text ?? "" });
  const severities = make("fieldset");
  severities.append(make("legend", "Severity"));
  const wanted = (here.severity ?? "").split(",");
  for (const severity of SEVERITIES) {
    const box = make("input", "", { type: "checkbox", name: "severity", value: severity, id: `severity-${severity}` });
    box.checked = wanted.includes(severity);
    severities.append(field(box, make("label", severity, { for: `severity-${severity}`, class: severity })));
  }
  const choices = { state: ["State", STATES], suppressed: ["Exception", DECIDED], limit: ["Per page", Object.fromEntries(LIMITS.map((each) => [each, each]))] };
  form.append(field(make("label", "Name, template or place", { for: "text" }), text), severities);
  for (const [name, [label, options]] of Object.entries(choices)) form.append(choice(name, label, options, here[name] ?? DEFAULTS[name]));
  form.append(make("button", "Apply"), link("Clear", { namespace: here.namespace, project: here.project }));
  form.addEventListener("submit", (submit) => {
    submit.preventDefault();
    const values = new FormData(form);
    const chosen = { ...here, severity: values.getAll("severity").join(",") };
    for (const each of ["text", ...Object.keys(choices)]) chosen[each] = values.get(each).trim();
    location.assign(link("", chosen).href);
  });
  return form;
}

function heading(name, here) {
  const chosen = name === (here.sort ?? DEFAULTS.sort);
  const falls = here.order === "desc";
  const order = chosen ? (falls ? "asc" : "desc") : name === "last_seen" ? "desc" : "asc";
  const head = make("th", "", { scope: "col", ...(chosen ? { "aria-sort": falls ? "descending" : "ascending" } : {}) });
  head.append(link(SORTS[name], { ...here, sort: name, order }));
  return head;
}

function list(found, here) {
  if (!found.items.length) return [make("h2", "Nothing to show"), make("p", empty(here))];
  const columns = ["severity", "name", "where", "first_seen"].map((name) => heading(name, here));
  const [whole, body] = table("findings", [...columns, "Age", heading("last_seen", here), "Exception"]);
  for (const item of found.items) {
    const severity = make("td");
    for (const badge of badges(item)) severity.append(badge, " ");
    const name = make("th", "", { scope: "row" });
    name.append(link(item.name, { namespace: here.namespace, project: here.project, finding: item.identity }));
    if (item.matcher) name.append(make("span", ` ${item.matcher}`, { class: "quiet" }));
    const days = item.age_days === null ? "–" : `${item.age_days}d`;
    body.append(row(severity, name, make("code", item.where), date(item.first_seen), days, date(item.last_seen), decision(item.suppressed)));
  }
  const pages = make("nav", "", { "aria-label": "Pages" });
  if (found.before) pages.append(link("Previous page", { ...here, before: found.before }, { rel: "prev" }));
  if (found.after) pages.append(link("Next page", { ...here, after: found.after }, { rel: "next" }));
  const severities = SEVERITIES.filter((each) => found.by_severity[each]).map((each) => `${found.by_severity[each].toLocaleString("en")} ${each}`);
  const summary = make("p", `${found.total.toLocaleString("en")} in this list: ${severities.join(", ")}`, { id: "summary" });
  return [summary, whole, ...(pages.childElementCount ? [pages] : [])];
}

function empty(here) {
  if (["severity", "text", "suppressed"].some((each) => here[each])) return "No finding matches all of the filters. Clear them to see the others.";
  return { new: "The last scans have found nothing new.", resolved: "No finding has been resolved yet." }[here.state] ?? "Nothing is open in this project.";
}

function sources(found) {
  const bad = found.runs.filter((run) => run.problem);
  const details = make("details", "", { id: "runs", ...(bad.length ? { open: "" } : {}) });
  const left = found.runs_left_out ? `, ${found.runs_left_out} older ones are left out` : "";
  const items = make("ul");
  for (const run of found.runs) {
    const what = run.problem ? `can't be read: ${run.problem}` : `${run.complete ? "complete" : "partial"} result of ${run.completed}`;
    items.append(make("li", `${run.run} (plan ${run.plan}): ${what}`, run.problem ? { class: "high" } : {}));
  }
  details.append(make("summary", `From ${found.runs.length - bad.length} of ${found.runs.length} runs${left}`), items);
  return details;
}

// what went wrong, and what to do

function advice(status, namespace) {
  switch (status) {
    case 401:
      return [words("", make("a", "Log in", { href: `./?findings=${encodeURIComponent(location.search)}` }), " with a token of somebody who may read findings.")];
    case 403: {
      const role = `kubectl create role findings-reader --namespace ${namespace} --verb=get,list \\\n  --resource=scanplans.scanplan.dev --resource=scanplans.scanplan.dev/artifacts`;
      const why = "Findings hold raw answers of scanned hosts, so they need a right of their own. Ask the administrator of the namespace for a role such as this one, and a binding to it:";
      return [words(why), raw("Command", role)];
    }
    case 404: {
      const why = "Where the API has no volume with the results, its owner can let it read claims by pods: api.readerPods in the chart. On a terminal, the same list is:";
      return [words(why), raw("Command", `scanplan findings RUN --namespace ${namespace}`)];
    }
    case 410: {
      const first = new URLSearchParams(asked);
      for (const each of PLACES) first.delete(each);
      return [words("", make("a", "To the first page", { href: `findings?${first}` }))];
    }
    default:
      return [words("", make("a", "Try again", { href: location.href }))];
  }
}

function failed(problem, namespace) {
  say(problem.title);
  return [make("h2", problem.title, { id: "problem" }), make("p", problem.message, { role: "alert" }), ...advice(problem.status, namespace)];
}

// the page

function say(text) {
  at("state").textContent = text;
}

function trail(namespace, name, finding) {
  const steps = [make("a", "ScanPlans", { href: `./?namespace=${encodeURIComponent(namespace)}` })];
  steps.push(link(namespace === ALL ? "All projects" : `Projects of ${namespace}`, { namespace }));
  if (name) steps.push(link(name, { namespace, project: name }));
  if (finding) steps.push(make("span", "Finding"));
  steps.at(-1).setAttribute("aria-current", "page");
  const items = steps.map(() => make("li"));
  items.forEach((item, index) => item.append(steps[index]));
  at("trail").replaceChildren(...items);
}

async function shown(namespace, name, identity) {
  if (!name) return projects(namespace);
  if (!identity) return project(namespace, name);
  const told = await ask(`/${encodeURIComponent(name)}/findings/${encodeURIComponent(identity)}`, { namespace });
  document.title = `${told.finding.name} · ${name}`;
  say(`${told.finding.severity}, ${told.finding.state}`);
  return findingPage(told);
}

async function start() {
  session = await fetch("/session").then((answer) => (answer.ok ? answer.json() : session)).catch(() => session);
  const namespace = asked.get("namespace") || session.namespace;
  const [name, identity] = [asked.get("project") ?? "", asked.get("finding") ?? ""];
  at("logout").hidden = !session.known || session.open;
  trail(namespace, name, identity);
  at("title").textContent = name ? `Findings of ${name}` : "Findings";
  document.title = at("title").textContent;
  const slow = setTimeout(() => say("Reading the results: the first time after a scan this takes some seconds"), 1500);
  const parts = await shown(namespace, name, identity).catch((problem) => {
    if (!(problem instanceof Problem)) throw problem;
    return failed(problem, namespace);
  });
  clearTimeout(slow);
  at("main").replaceChildren(...parts);
}

at("logout").addEventListener("click", async () => {
  await fetch("/logout", { method: "POST" });
  location.reload();
});
start();
