// One finding: what it is, its history in each run, what the scan saw, and an exception to copy.

import { make } from "./elements.js";

export function date(time) {
  const known = !Number.isNaN(Date.parse(time));
  return known ? make("time", time.slice(0, 10), { datetime: time, title: time }) : make("span", time || "–");
}

export function decision(suppressed) {
  return suppressed ? `${suppressed.status} until ${suppressed.expires_at.slice(0, 10)} (${suppressed.exception})` : "";
}

export function badges(finding) {
  const severity = make("span", finding.severity, { class: `severity ${finding.severity}` });
  const state = make("span", finding.state, { class: `badge ${finding.state}` });
  return finding.state === "open" ? [severity] : [severity, state];
}

export function raw(name, text, id = "") {
  return make("pre", text, { tabindex: "0", role: "region", "aria-label": name, ...(id ? { id } : {}) });
}

export function page({ finding, runs, record, record_problem: problem, exception }) {
  const marks = make("p");
  for (const badge of badges(finding)) marks.append(badge, " ");
  const parts = [make("h2", finding.name, { id: "finding" }), marks, facts(finding), history(runs)];
  if (record) parts.push(...seen(record));
  else parts.push(make("h3", "Request and response"), make("p", `They can't be shown: ${problem}.`));
  return [...parts, ...accept(exception), ...again(finding)];
}

function listed(facts) {
  const list = make("dl");
  for (const [name, value] of Object.entries(facts)) {
    if (!value) continue;
    const cell = make("dd");
    cell.append(value);
    list.append(make("dt", name), cell);
  }
  return list;
}

function facts(finding) {
  return listed({
    Where: make("code", finding.where),
    Template: make("code", finding.template),
    Matcher: finding.matcher,
    Scanned: make("code", finding.target),
    "First seen": date(finding.first_seen),
    Age: finding.age_days === null ? "" : `${finding.age_days} days`,
    "Last seen": date(finding.last_seen),
    Resolved: finding.resolved_at && date(finding.resolved_at),
    "Came back": finding.reopened ? `${finding.reopened} times` : "",
    Exception: finding.suppressed && `${decision(finding.suppressed)}: ${finding.suppressed.reason}`,
  });
}

function history(runs) {
  const [head, top, body, table] = ["tr", "thead", "tbody", "table"].map((kind) => make(kind));
  for (const name of ["Run", "State", "First seen", "Last seen", "Times seen", "Came back", "Resolved"]) head.append(make("th", name, { scope: "col" }));
  for (const run of runs) {
    const row = make("tr");
    row.append(make("th", run.run, { scope: "row" }));
    for (const value of [run.state, date(run.first_seen), date(run.last_seen), String(run.times_seen), String(run.reopened), date(run.resolved_at)]) {
      const cell = make("td");
      cell.append(value);
      row.append(cell);
    }
    body.append(row);
  }
  top.append(head);
  table.append(make("caption", "History by run"), top, body);
  const scroll = make("div", "", { class: "scroll", tabindex: "0", role: "region", "aria-label": "History by run" });
  scroll.append(table);
  return scroll;
}

function seen(record) {
  const parts = [];
  const remediation = record.remediation || "The template says nothing about it.";
  for (const [name, text] of [["Description", record.description], ["Impact", record.impact], ["Remediation", remediation]])
    if (text) parts.push(make("h3", name), make("p", text, { class: "text" }));
  const [extracted, cve, cwe, tags] = [record.extracted, record.cve, record.cwe, record.tags].map((values) => values.join(", "));
  parts.push(listed({ Extracted: extracted, CVE: cve, CWE: cwe, CVSS: record.cvss, Tags: tags, Seen: record.time }));
  parts.push(...references(record.references));
  for (const [name, text] of [["Request", record.request], ["Response", record.response], ["Try it", record.curl]])
    if (text) parts.push(make("h3", name), raw(name, text));
  return parts;
}

function references(all) {
  if (!all.length) return [];
  const list = make("ul");
  for (const { text, address } of all) {
    const item = make("li");
    item.append(/^https?:\/\//.test(address) ? make("a", text, { href: address, rel: "noopener noreferrer", target: "_blank" }) : text);
    list.append(item);
  }
  return [make("h3", "References"), list];
}

function accept(exception) {
  const text = raw("ScanException", exception, "exception");
  const said = make("span", "", { role: "status" });
  const copy = make("button", "Copy", { type: "button", class: "only-screen" });
  copy.addEventListener("click", async () => {
    getSelection().selectAllChildren(text);
    const copied = await navigator.clipboard?.writeText(exception).then(() => true, () => false);
    said.textContent = copied ? "Copied" : "Selected: copy it by the keyboard";
  });
  const row = make("p");
  row.append(copy, " ", said);
  const words = "Write down the reason, have the file reviewed, and keep it in Git. This page changes nothing in the cluster.";
  return [make("h3", "Accept it until a day"), make("p", words), text, row];
}

function again(finding) {
  const command = `scanplan retest ${finding.identity.slice(0, 12)} --run ${finding.plan}`;
  return [make("h3", "Know whether it is fixed"), raw("Command", command)];
}
