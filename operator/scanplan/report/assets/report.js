"use strict";
(() => {
  const root = document.documentElement;
  const findings = Array.from(document.querySelectorAll("tbody.finding"));
  const form = document.querySelector("form");
  const status = document.querySelector("[role=status]");
  const texts = new Map();
  const words = (finding) => {
    if (!texts.has(finding)) texts.set(finding, finding.rows[0].textContent.toLowerCase());
    return texts.get(finding);
  };
  const apply = () => {
    const wanted = form.elements.text.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    const severities = new Set(Array.from(form.querySelectorAll("[name=severity]:checked"), (box) => box.value));
    const onlyNew = form.elements.new && form.elements.new.checked;
    const onlyOpen = form.elements.open && form.elements.open.checked;
    let shown = 0;
    for (const finding of findings) {
      const visible = severities.has(finding.dataset.severity) && (!onlyNew || "new" in finding.dataset)
        && (!onlyOpen || !("suppressed" in finding.dataset))
        && wanted.every((word) => words(finding).includes(word));
      finding.hidden = !visible;
      if (visible) shown += 1;
    }
    status.textContent = shown === findings.length ? `${shown} shown` : `${shown} of ${findings.length} shown`;
  };
  root.classList.add("js");
  if (!form) return;
  form.hidden = false;
  let waiting = 0;
  form.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(apply, 80); });
  form.addEventListener("submit", (event) => { event.preventDefault(); apply(); });
  for (const button of document.querySelectorAll("td button")) button.setAttribute("aria-expanded", "false");
  document.querySelector(".findings").addEventListener("click", (event) => {
    const button = event.target.closest("td button");
    if (!button) return;
    const open = button.closest("tbody").classList.toggle("open");
    button.setAttribute("aria-expanded", String(open));
  });
  apply();
})();
