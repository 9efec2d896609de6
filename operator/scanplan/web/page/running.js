// The findings of one running scan as they come: read from its claim, not final. Whatever a host says becomes text, never markup.

import { age, at, make } from "./elements.js";

const NOT_FINAL = "Running, not final: a finding may still be taken back.";

let stream = null;
let shown = "";

export function isShown(plan) {
  return shown === plan.uid;
}

export function show(plan, title, url) {
  hide();
  shown = plan.uid;
  at("running").hidden = false;
  at("running-title").textContent = `Findings of ${title} so far`;
  say("Reading the claim");
  stream = new EventSource(url);
  const own = stream;
  stream.addEventListener("snapshot", (message) => {
    at("running-rows").replaceChildren();
    add(JSON.parse(message.data).findings);
  });
  stream.addEventListener("findings", (message) => add(JSON.parse(message.data).findings));
  stream.addEventListener("withdrawn", (message) => withdraw(JSON.parse(message.data)));
  stream.addEventListener("more", () => say(`${NOT_FINAL} There are more than are shown here.`));
  stream.addEventListener("ended", () => end("The scan has ended. These were its findings while it ran: its result counts."));
  stream.addEventListener("trouble", (message) => end(JSON.parse(message.data).detail));
  stream.addEventListener("refused", (message) => end(JSON.parse(message.data).detail));
  stream.addEventListener("error", async () => {
    if (own.readyState !== EventSource.CLOSED) return say("Connecting again");
    const answer = await fetch(url).catch(() => null); // the reason, which an event stream keeps to itself
    if (own !== stream) return;
    end(answer && !answer.ok ? (await answer.json()).detail ?? `HTTP ${answer.status}` : "The API is away");
    answer?.body?.cancel().catch(() => null);
  });
}

export function hide() {
  stream?.close();
  stream = null;
  shown = "";
  at("running").hidden = true;
  at("running-rows").replaceChildren();
}

function end(text) {
  stream?.close();
  say(text);
}

function say(text) {
  at("running-state").textContent = text;
}

function add(findings) {
  at("running-rows").append(...findings.map(rowOf));
  const count = at("running-rows").childElementCount;
  say(`${NOT_FINAL} ${count ? `${count.toLocaleString("en")} found.` : "Nothing found yet."}`);
}

function rowOf(finding) {
  const row = make("tr", "", { "data-attempt": `${finding.shard} ${finding.attempt}` });
  const severity = make("td");
  severity.append(make("span", finding.severity, { class: `severity ${finding.severity}` }));
  const name = make("td", finding.name);
  if (finding.suppressed) name.append(make("span", ` exception ${finding.suppressed}`, { class: "reason" }));
  const time = make("td", age(finding.time), { title: finding.time });
  row.append(severity, name, make("td", finding.where), make("td", finding.template), time);
  if (finding.withdrawn) takeBack(row);
  return row;
}

function withdraw({ shard, attempt, findings }) {
  for (const row of at("running-rows").querySelectorAll(`[data-attempt="${shard} ${attempt}"]:not(.withdrawn)`)) takeBack(row);
  say(`${NOT_FINAL} ${findings.toLocaleString("en")} were taken back: their attempt does not count any more.`);
}

function takeBack(row) {
  row.classList.add("withdrawn");
  row.children[1].append(make("span", " taken back", { class: "reason" }));
}
