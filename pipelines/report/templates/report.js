"use strict";
// Sorting, searching and the theme are additions: without script the page stands as the report wrote it.
const said = document.getElementById("said");

for (const table of document.querySelectorAll("table")) {
  table.querySelectorAll("thead th").forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    const numeric = head.classList.contains("number");
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === (numeric ? "none" : "ascending") || (numeric && !head.hasAttribute("aria-sort"));
      const key = (row) => row.cells[column].dataset.value;
      const order = (left, right) => {
        const [a, b] = [Number(key(left)), Number(key(right))];
        return Number.isNaN(a) || Number.isNaN(b) ? key(left).localeCompare(key(right)) : a - b;
      };
      const rows = [...table.tBodies[0].rows].sort(order);
      for (const other of table.querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      table.tBodies[0].append(...(down ? rows.reverse() : rows));
      said.textContent = `${table.caption.textContent}: sorted by ${button.textContent}, ${down ? "descending" : "ascending"}`;
    });
  });
}

for (const table of document.querySelectorAll("table[data-search]")) {
  const field = document.createElement("input");
  field.type = "search";
  field.placeholder = "search these rows";
  field.setAttribute("aria-label", `Search in: ${table.dataset.search}`);
  const count = document.createElement("span");
  const tools = document.createElement("div");
  tools.className = "tools";
  tools.append(field, count);
  table.parentElement.before(tools);
  const rows = [...table.tBodies[0].rows];
  const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
  const show = () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      row.hidden = !words.every((word) => texts.get(row).includes(word));
      shown += row.hidden ? 0 : 1;
    }
    count.textContent = words.length ? `${shown} of ${rows.length} rows` : "";
    if (words.length) said.textContent = `${table.dataset.search}: ${shown} of ${rows.length} rows`;
  };
  field.addEventListener("input", show);
}

const themes = { auto: "as the system", light: "light", dark: "dark" };
const button = document.getElementById("theme");
// Storage may be refused for a file; the choice then lasts as long as the page.
const remembered = () => { try { return localStorage.getItem("provender-theme"); } catch { return null; } };
const remember = (name) => { try { localStorage.setItem("provender-theme", name); } catch { /* not remembered */ } };
const apply = (name) => {
  if (name === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  button.dataset.choice = name;
  button.textContent = `Theme: ${themes[name]}`;
};
button.addEventListener("click", () => {
  const names = Object.keys(themes);
  const next = names[(names.indexOf(button.dataset.choice) + 1) % names.length];
  apply(next);
  remember(next);
});
apply(remembered() in themes ? remembered() : "auto");
button.hidden = false;
