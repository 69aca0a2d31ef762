// The table of the front page: sorting, filtering, choosing two. The rows themselves stand in the page, which works
// without this file. The state stands behind the address's #, so that a view can be sent to somebody.
(function () {
  "use strict";

  const table = document.getElementById("recipes");
  const form = document.getElementById("filters");
  if (!table || !form) return;

  const body = table.tBodies[0];
  const nothing = document.getElementById("nothing");
  const search = document.getElementById("q");
  const sortChoice = document.getElementById("sort");
  const count = document.getElementById("count");
  const heads = Array.from(table.querySelectorAll("thead th[data-column]"));
  const columns = new Map(heads.map((head, at) => [head.dataset.column, { head, at, text: head.dataset.sort === "text" }]));
  const selects = Array.from(form.querySelectorAll("select[data-column], select[data-least]"));
  const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
  const rows = Array.from(body.rows).filter((row) => row !== nothing).map(read);
  let sorted = { key: "", down: false };

  // As an <option> reads its own text.
  function collapsed(text) {
    return text.replace(/[\t\n\f\r ]+/g, " ").trim();
  }

  // What of a row is asked for again and again, read once.
  function read(row, at) {
    const cells = Array.from(row.cells);
    const name = row.id.slice(2);
    return {
      row,
      at,
      name,
      text: row.textContent.toLowerCase(),
      filter: cells.map((cell) => collapsed(cell.dataset.f === undefined ? cell.textContent : cell.dataset.f)),
      sort: cells.map((cell, column) => (column === 0 ? name : sortValue(cell, column))),
    };
  }

  // A cell's own value; undefined where there is none, which sorts last in both directions.
  function sortValue(cell, column) {
    if (heads[column].dataset.sort === "text") return cell.dataset.f || cell.textContent || undefined;
    const holder = cell.dataset.v === undefined ? cell.querySelector("[data-v]") : cell;
    return holder ? Number(holder.dataset.v) : undefined;
  }

  function matches(one, words, least) {
    return (
      words.every((word) => one.text.includes(word)) &&
      selects.every((select) => {
        if (!select.value) return true;
        if (select.dataset.column) return one.filter[columns.get(select.dataset.column).at] === select.value;
        return (one.sort[least] || 0) >= Number(select.value);
      })
    );
  }

  function filter() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const least = columns.get("context").at;
    let shown = 0;
    for (const one of rows) {
      const hidden = !matches(one, words, least);
      if (one.row.hidden !== hidden) one.row.hidden = hidden;
      shown += hidden ? 0 : 1;
    }
    nothing.hidden = shown > 0 || rows.length === 0;
    const said = `${shown} of ${rows.length} recipes shown`;
    if (count.textContent !== said) count.textContent = said;
  }

  function sort() {
    const column = columns.get(sorted.key);
    const order = rows.slice();
    if (column) {
      const sign = sorted.down ? -1 : 1;
      order.sort((a, b) => {
        const one = a.sort[column.at];
        const two = b.sort[column.at];
        if (one === undefined || two === undefined) return (one === undefined) - (two === undefined) || a.at - b.at;
        return sign * (column.text ? collator.compare(one, two) : one - two) || a.at - b.at;
      });
    }
    // Rows that stand where they belong are left alone: moving them has the whole table laid out anew.
    if (order.some((one, at) => body.rows[at] !== one.row)) body.append(...order.map((one) => one.row), nothing);
    for (const [key, { head }] of columns) {
      if (key === sorted.key) head.setAttribute("aria-sort", sorted.down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
    sortChoice.value = sorted.key;
  }

  // Figures begin with the largest, texts with A; the same column again turns the order round.
  function sortBy(key) {
    const column = columns.get(key);
    if (!column) sorted = { key: "", down: false };
    else sorted = { key, down: sorted.key === key ? !sorted.down : !column.text };
    sort();
    remember();
  }

  // The state in the address, and back. Whatever stands there is only ever compared with what the page holds.
  let later = 0;
  function remember() {
    clearTimeout(later);
    later = setTimeout(() => {
      const state = new URLSearchParams();
      if (search.value) state.set("q", search.value);
      for (const select of selects) if (select.value) state.set(select.dataset.column || select.dataset.least, select.value);
      if (sorted.key) state.set("sort", (sorted.down ? "-" : "") + sorted.key);
      const text = state.toString();
      if (text || location.hash.includes("=")) history.replaceState(null, "", `#${text}`);
    }, 150);
  }

  function recall() {
    const hash = location.hash.slice(1);
    if (hash && !hash.includes("=")) return; // a place within the page
    const state = new URLSearchParams(hash);
    search.value = (state.get("q") || "").slice(0, search.maxLength);
    for (const select of selects) {
      const wanted = state.get(select.dataset.column || select.dataset.least) || "";
      select.value = Array.from(select.options).some((option) => option.value === wanted) ? wanted : "";
    }
    const wanted = state.get("sort") || "";
    const key = wanted.replace(/^-/, "");
    sorted = columns.has(key) ? { key, down: wanted.startsWith("-") } : { key: "", down: false };
    sort();
    filter();
  }

  function reset() {
    search.value = "";
    for (const select of selects) select.value = "";
    sorted = { key: "", down: false };
    sort();
    filter();
    remember();
  }

  // Two recipes chosen lead to their comparison.
  const chosen = document.getElementById("chosen");
  const link = chosen.querySelector("a");
  function choose() {
    const names = rows.filter((one) => one.box.checked).map((one) => one.name);
    chosen.hidden = names.length === 0;
    link.hidden = names.length !== 2;
    const missing = names.length === 1 ? "; choose one more" : names.length > 2 ? "; a comparison takes two" : "";
    chosen.querySelector("[role=status]").textContent = names.length > 2 ? `${names.length} chosen${missing}` : names.join(" and ") + missing;
    if (names.length === 2) {
      const to = new URLSearchParams({ a: names[0], b: names[1] });
      link.href = `${link.getAttribute("href").split("#")[0]}#${to}`;
    }
  }

  function addBox(one) {
    const label = document.createElement("label");
    one.box = document.createElement("input");
    one.box.type = "checkbox";
    one.box.setAttribute("aria-label", `compare ${one.name}`);
    one.box.addEventListener("change", choose);
    label.className = "pick";
    label.append(one.box, "compare");
    one.row.cells[0].append(label);
  }

  for (const head of heads) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sortBy(head.dataset.column));
    head.append(button);
  }
  rows.forEach(addBox);
  chosen.querySelector("button").addEventListener("click", () => {
    const first = rows.find((one) => one.box.checked);
    for (const one of rows) one.box.checked = false;
    choose();
    if (first) first.box.focus();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", (event) => {
    event.preventDefault();
    reset();
  });
  nothing.querySelector("button").addEventListener("click", () => {
    reset();
    search.focus();
  });
  search.addEventListener("input", () => (filter(), remember()));
  for (const select of selects) select.addEventListener("change", () => (filter(), remember()));
  sortChoice.addEventListener("change", () => {
    sorted = { key: "", down: false };
    sortBy(sortChoice.value);
  });
  window.addEventListener("hashchange", recall);
  form.hidden = false;
  recall();
})();
