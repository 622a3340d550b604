"use strict";
// Sorting is an addition: without script the tables stand as the report wrote them.
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
    });
  });
}
