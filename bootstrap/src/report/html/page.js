"use strict";
{
  const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
  const words = document.getElementById("words");
  const order = document.getElementById("order");
  const shown = document.getElementById("shown");
  const outcomes = all("input[name=outcome]");
  const scales = all("input[name=scale]");
  const folds = all("details.fold");
  const unfolded = new Set();
  const groups = all(".cause, #good");
  const hosts = groups.flatMap((group) => {
    const about = group.querySelector("h3, h2").textContent;
    return all("details.host", group).map((host) => ({
      host,
      group,
      outcome: host.dataset.outcome,
      text: (host.firstElementChild.textContent + " " + about).toLowerCase(),
    }));
  });

  const filter = () => {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    const kinds = new Set(outcomes.filter((box) => box.checked).map((box) => box.value));
    const open = new Set();
    let count = 0;
    for (const { host, group, outcome, text } of hosts) {
      const matches = kinds.has(outcome) && wanted.every((word) => text.includes(word));
      if (host.hidden === matches) host.hidden = !matches;
      if (matches) {
        count += 1;
        open.add(group);
      }
    }
    for (const group of groups) group.hidden = !open.has(group);
    const causes = document.getElementById("causes");
    if (causes) causes.hidden = !causes.querySelector(".cause:not([hidden])");
    const narrowed = wanted.length > 0 || kinds.size < outcomes.length;
    for (const fold of folds) {
      // What was looked for is not hidden; what was folded before is folded again.
      if (narrowed && !fold.open) unfolded.add(fold);
      if (narrowed || unfolded.delete(fold)) fold.open = narrowed;
    }
    shown.textContent = narrowed ? `${count} of ${hosts.length} hosts` : "";
  };

  const sort = () => {
    const key = order.value;
    const slowest = key === "took" ? -1 : 1;
    for (const list of all(".hosts")) {
      const rows = [...list.children];
      rows.sort((one, other) => slowest * (one.dataset[key] - other.dataset[key]));
      list.append(...rows);
    }
  };

  const scale = () => {
    const wanted = scales.find((radio) => radio.checked).value;
    if (document.body.classList.contains(wanted)) return;
    document.body.className = wanted;
    for (const strip of all("svg.strip")) {
      const other = strip.dataset.other;
      strip.dataset.other = strip.getAttribute("viewBox");
      strip.setAttribute("viewBox", other);
    }
  };

  // One draw for many letters.
  let asked = 0;
  const soon = (what) => {
    cancelAnimationFrame(asked);
    asked = requestAnimationFrame(what);
  };
  words.addEventListener("input", () => soon(filter));
  for (const box of outcomes) box.addEventListener("change", filter);
  for (const radio of scales) radio.addEventListener("change", scale);
  order.addEventListener("change", sort);
  document.querySelector("form.filter").addEventListener("submit", (event) => event.preventDefault());
  addEventListener("keydown", (event) => {
    if (event.key === "/" && !event.target.closest("input, select")) {
      event.preventDefault();
      words.focus();
      words.select();
    }
    if (event.key === "Escape" && event.target === words) {
      words.value = "";
      filter();
    }
  });
  // A browser keeps what was typed and chosen when a page is loaded again.
  if (!scales.some((radio) => radio.checked)) {
    for (const radio of scales) radio.checked = document.body.classList.contains(radio.value);
  }
  scale();
  if (order.value !== "position") sort();
  filter();
}
