"use strict";
{
  const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
  const cells = all("details.cell").map((cell) => ({
    cell,
    at: cell.dataset.at,
    text: cell.querySelector("summary").textContent.toLowerCase(),
  }));
  const groups = all("details.group");
  const bars = all(".gantt a");
  const words = document.getElementById("words");
  const outcomes = all("input[name=outcome]");

  const filter = () => {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    const kinds = new Set(outcomes.filter((box) => box.checked).map((box) => box.value));
    const fields = new Set();
    const shown = new Set();
    for (const { cell, at, text } of cells) {
      const matches = kinds.has(cell.dataset.outcome) && wanted.every((word) => text.includes(word));
      cell.hidden = !matches;
      if (matches) {
        fields.add(at);
        shown.add("#" + cell.id);
      }
    }
    for (const group of groups) group.hidden = !group.querySelector("details:not([hidden])");
    for (const bar of bars) bar.classList.toggle("off", !shown.has(bar.getAttribute("href")));
    for (const row of all("#matrix tbody tr")) {
      const inside = all("td[data-at]", row);
      for (const field of inside) field.classList.toggle("off", !fields.has(field.dataset.at));
      row.hidden = !inside.some((field) => fields.has(field.dataset.at));
    }
    document.getElementById("shown").textContent =
      shown.size < cells.length ? `${shown.size} of ${cells.length}` : "";
  };

  const reveal = () => {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    if (!target) return;
    for (let at = target; at; at = at.parentElement) {
      if (at.tagName === "DETAILS") Object.assign(at, { open: true, hidden: false });
    }
    target.scrollIntoView({ block: "start" });
    target.querySelector("summary")?.focus({ preventScroll: true });
  };

  const copy = async (button) => {
    const code = button.previousElementSibling;
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "copied";
    } catch {
      // Not every browser lets a page from a disk write there: one key is left to press.
      getSelection().selectAllChildren(code);
      button.textContent = "selected";
    }
    setTimeout(() => (button.textContent = "copy"), 1500);
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button?.classList.contains("copy")) copy(button);
    if (button?.classList.contains("unfold")) {
      const inside = all("details", button.closest("section"));
      const open = inside.some((one) => !one.open);
      for (const one of inside) one.open = open;
      button.textContent = open ? "fold all" : "unfold all";
    }
    // The place may be the one of the last click, and folded again since.
    if (event.target.closest('a[href^="#cell-"]')) setTimeout(reveal);
  });
  const form = document.querySelector("form.filter");
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  addEventListener("hashchange", reveal);
  // A browser keeps what was typed when a page is loaded again.
  filter();
  reveal();
}
