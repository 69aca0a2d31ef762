// Two recipes side by side. Their data come from data/<name>.js, loaded as scripts because a page that is opened from
// a disk may not fetch; only names that the page itself lists are ever loaded.
(function () {
  "use strict";

  const form = document.getElementById("sides");
  if (!form) return;

  const KEYS = ["a", "b"];
  const METRICS = {
    tg: ["decode", "tok/s"],
    tg_req: ["decode of one request", "tok/s"],
    pp: ["prefill", "tok/s"],
    ttfr: ["time to first response", "ms"],
  };
  const picks = Object.fromEntries(KEYS.map((key) => [key, document.getElementById(key)]));
  const runs = Object.fromEntries(KEYS.map((key) => [key, document.getElementById(`run-${key}`)]));
  const names = new Set(Array.from(picks.a.options, (option) => option.value).filter(Boolean));
  const said = document.getElementById("said");
  const page = document.getElementById("comparison");
  const more = document.getElementById("more");
  const data = new Map();
  const loading = new Map();

  function el(tag, attributes, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) element.setAttribute(name, value);
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  }

  // data/<name>.js calls this one.
  window.recipegenData = (name, found) => {
    if (names.has(name)) data.set(name, found);
  };

  function load(name) {
    if (!loading.has(name)) {
      loading.set(name, new Promise((done) => {
        const script = el("script", { src: `data/${name}.js` });
        script.addEventListener("load", done);
        script.addEventListener("error", () => {
          loading.delete(name); // a later choice tries again
          done();
        });
        document.head.append(script);
      }));
    }
    return loading.get(name);
  }

  // A first cell that is null is the one above, which spans both rows.
  function table(kind, caption, heads, rows) {
    const head = el("tr", null, ...heads.map((text) => el("th", { scope: "col" }, text)));
    const body = rows.map(([first, ...cells], at) => {
      const next = rows.findIndex((row, later) => later > at && row[0] !== null);
      const span = (next < 0 ? rows.length : next) - at;
      const title = first === null ? null : el("th", span > 1 ? { scope: "rowgroup", rowspan: span } : { scope: "row" }, first);
      return el("tr", null, title, ...cells.map((cell) => el("td", null, cell === null ? "–" : cell)));
    });
    const whole = el("table", null, el("caption", null, caption), el("thead", null, head), el("tbody", null, ...body));
    return el("div", { class: `scroll beside ${kind}`, role: "region", "aria-label": caption, tabindex: "0" }, whole);
  }

  function section(title, ...children) {
    return el("section", null, el("h2", null, title), ...children);
  }

  // A message of a server may be long: it scrolls, by keyboard too.
  function notice(text) {
    return el("p", text.length > 500 ? { class: "notice cut", tabindex: "0" } : { class: "notice" }, text);
  }

  // What is the same, what differs, and what one of the two does not tell.
  function fact(label, a, b) {
    const known = (value) => value !== null && value !== undefined && value !== "";
    if (!known(a) && !known(b)) return null;
    const word = !known(a) || !known(b) ? "not known of both" : a === b ? "same" : "differs";
    return [label, known(a) ? a : null, known(b) ? b : null, word === "same" ? word : el("span", { class: "differs" }, word)];
  }

  function facts(a, b) {
    const rows = Object.keys(a.recipe.facts).map((key) => fact(key, ...[a, b].map((side) => (side.run && side.run[key]) || side.recipe.facts[key])));
    if (a.run && b.run) {
      rows.push(fact("variant", a.run.variant, b.run.variant), fact("machine", a.run.machine, b.run.machine));
      rows.push(fact("measured on", a.run.date, b.run.date), fact("quality", a.run.quality, b.run.quality));
      const keys = new Set([...Object.keys(a.run.facts), ...Object.keys(b.run.facts)]);
      for (const key of keys) rows.push(fact(key, a.run.facts[key], b.run.facts[key]));
      const flags = new Set([...Object.keys(a.run.flags), ...Object.keys(b.run.flags)]);
      for (const key of flags) {
        const values = [a, b].map((side) => (key in side.run.flags ? side.run.flags[key] : "not set"));
        if (values[0] !== values[1]) rows.push(fact(key === "command" ? "command" : `flag ${key}`, ...values));
      }
    }
    return table("facts-beside", "What they are", ["", "A", "B", "A beside B"], rows.filter(Boolean));
  }

  // Why a figure may be none; a fast server that answers nonsense is not fast.
  function doubts(a, b, cells) {
    return [a, b].flatMap((side, at) => {
      const found = side.run.quality === "fail" ? ["its server did not answer rightly"] : [];
      if (cells[at].doubt) found.push(cells[at].doubt);
      return found.map((why) => `${side.key.toUpperCase()}: ${why}`);
    });
  }

  // B over A, and what the intervals allow to say of it.
  function ratio(metric, one, two, doubtful) {
    if (doubtful.length) return ["–", `no ratio, a figure is in doubt (${doubtful.join("; ")})`];
    if (!(one.median > 0)) return ["–", "no ratio to nothing"];
    const value = (two.median / one.median).toPrecision(3);
    if (one.n < 2 || two.n < 2) return [value, "a single sample has no interval: this ratio says little"];
    const few = one.warnings.concat(two.warnings).includes("few-samples") ? "; few samples, so that the intervals are too narrow" : "";
    if (one.low <= two.high && two.low <= one.high) return [value, `the intervals overlap: no difference is shown${few}`];
    const faster = two.median > one.median === (metric !== "ttfr");
    return [value, `the intervals do not overlap: B is ${faster ? "faster" : "slower"}${few}`];
  }

  function figure(found) {
    const codes = found.warnings.filter((code) => code !== "wide-interval" || !found.warnings.includes("few-samples"));
    const small = el("small", null, [`n=${found.n}`, ...(found.n > 1 ? codes : [])].join(", "));
    return el("span", null, found.text, small);
  }

  function pairs(a, b) {
    const theirs = new Map(b.run.cells.map((cell) => [cell.id, cell]));
    return a.run.cells.filter((cell) => !cell.error && theirs.has(cell.id) && !theirs.get(cell.id).error).map((cell) => [cell, theirs.get(cell.id)]);
  }

  function figures(a, b, both) {
    const rows = [];
    for (const cells of both) {
      let title = cells[0].id;
      const doubtful = doubts(a, b, cells);
      for (const [metric, [label, unit]] of Object.entries(METRICS)) {
        const [one, two] = cells.map((cell) => cell.figures[metric]);
        if (!one && !two) continue;
        const [value, words] = one && two ? ratio(metric, one, two, doubtful) : ["–", `only ${one ? "A" : "B"} has it`];
        rows.push([title, `${label} (${unit})`, one ? figure(one) : null, two ? figure(two) : null, value, words]);
        title = null;
      }
    }
    return table("figures", "Medians with their 95 % interval", ["cell", "metric", "A", "B", "B / A", "in words"], rows);
  }

  function chart(metric, both) {
    const values = both.flatMap((cells) => cells.flatMap((cell, at) => {
      const found = cell.figures[metric];
      return found ? [{ cell: cell.id, side: "AB"[at], median: found.median, low: found.low, high: found.high }] : [];
    }));
    const block = document.getElementById(`spec-${metric}`);
    if (!values.length || !block || !window.recipegenCharts) return null;
    const spec = JSON.parse(block.textContent);
    spec.data.values = values;
    spec.height = 46 * new Set(values.map((value) => value.cell)).size;
    const [label, unit] = METRICS[metric];
    const element = el("div", { class: "chart" });
    const words = `${label} of A and B in ${unit}, median and 95 % interval of ${both.length === 1 ? "one cell" : `${both.length} cells`}; the table above has the figures`;
    return { element: el("figure", null, el("figcaption", null, `${label[0].toUpperCase()}${label.slice(1)}: median and 95 % interval`), element), draw: () => window.recipegenCharts.draw(element, spec, words) };
  }

  function alone(a, b, both) {
    const common = new Set(both.map(([cell]) => cell.id));
    return [a, b].flatMap((side) => side.run.cells.filter((cell) => !common.has(cell.id)).map((cell) => el("li", null, `${side.key.toUpperCase()} ${cell.error ? `failed at ${cell.id}: ${cell.error}` : `alone has ${cell.id}`}`)));
  }

  function measured(a, b) {
    const without = [a, b].filter((side) => !side.run);
    if (without.length) {
      return { text: without.map((side) => `${side.key.toUpperCase()}, ${side.name}, has no results`).join("; "), parts: without.map((side) => el("p", null, `${side.key.toUpperCase()}, ${side.name}, has no results yet, so that there is nothing to compare it by. `, el("code", null, `recipegen bench ${side.name}`), " measures it.")) };
    }
    const both = pairs(a, b);
    const parts = [];
    if (a.run.machine !== b.run.machine) {
      parts.push(notice(`They were measured on different machines (A: ${a.run.machine}, B: ${b.run.machine}): a ratio is one of machine and recipe together.`));
    }
    for (const side of [a, b]) {
      const name = side.key.toUpperCase();
      if (side.run.error) parts.push(notice(`${name}'s run is ${side.run.status}: ${side.run.error}`));
      if (side.run.quality === "fail" || side.run.quality === "warn") parts.push(notice(`${name}'s quality is ${side.run.quality}: ${side.run.faults.join("; ")}`));
    }
    const charts = both.length ? ["tg", "pp"].map((metric) => chart(metric, both)).filter(Boolean) : [];
    if (both.length) parts.push(figures(a, b, both));
    else parts.push(el("p", null, "They have no measured cell in common."));
    const rest = alone(a, b, both);
    if (charts.length) parts.push(el("div", { class: "charts" }, ...charts.map((one) => one.element)));
    if (rest.length) parts.push(el("h3", null, "What only one of them has"), el("ul", null, ...rest));
    return { text: both.length === 1 ? "one cell in common" : `${both.length} cells in common`, parts, draw: () => charts.forEach((one) => one.draw()) };
  }

  function published(a, b) {
    const lists = [a, b].filter((side) => side.recipe.published.length).map((side) => el("li", null, `${side.key.toUpperCase()}, ${side.name}:`, el("ul", null, ...side.recipe.published.map((one) => {
      const web = /^https?:\/\//.test(one.source);
      return el("li", null, `${one.variant}, ${one.metric}: `, web ? el("a", { href: one.source, rel: "external" }, one.text) : one.text, ` (${one.how})`);
    }))));
    return lists.length ? section("Published by others, not measured here", el("ul", null, ...lists)) : null;
  }

  function side(key) {
    const name = picks[key].value;
    const recipe = data.get(name);
    return { key, name, recipe, run: recipe.runs.find((run) => run.id === runs[key].value) || null };
  }

  function show() {
    const missing = KEYS.filter((key) => picks[key].value && !data.has(picks[key].value));
    page.replaceChildren();
    more.hidden = true;
    if (missing.length) said.textContent = `The data of ${missing.map((key) => picks[key].value).join(" and ")} could not be loaded.`;
    else if (!picks.a.value || !picks.b.value) said.textContent = "Choose two recipes.";
    if (missing.length || !picks.a.value || !picks.b.value) return;
    const [a, b] = KEYS.map(side);
    const found = measured(a, b);
    const heads = [a, b].map((one) => el("p", null, `${one.key.toUpperCase()}: `, el("a", { href: one.recipe.page }, one.name), " ", el("span", { class: "muted cut" }, one.recipe.title)));
    page.append(...[el("div", { class: "heads" }, ...heads), section("Measured here", ...found.parts), published(a, b), section("Facts", facts(a, b))].filter(Boolean));
    said.textContent = `A, ${a.name}, beside B, ${b.name}: ${found.text}.`;
    if (found.draw) found.draw();
    if (a.run && b.run) {
      document.getElementById("command").textContent = `recipegen compare ${a.run.word} ${b.run.word}`;
      more.hidden = false;
    }
  }

  // The measurements of the recipe that was chosen; the headline's first, unless another one is asked for.
  function fill(key, wanted) {
    const recipe = data.get(picks[key].value);
    const found = recipe ? recipe.runs : [];
    runs[key].replaceChildren(...found.map((run) => el("option", { value: run.id }, `${run.variant} on ${run.machine}, ${run.date || "no date"}`)));
    if (!found.length) runs[key].append(el("option", { value: "" }, recipe ? "no results" : ""));
    runs[key].disabled = found.length < 2;
    if (found.some((run) => run.id === wanted)) runs[key].value = wanted;
  }

  let turn = 0;
  async function update(wanted) {
    turn += 1;
    const mine = turn;
    await Promise.all(KEYS.map((key) => picks[key].value).filter((name) => names.has(name)).map(load));
    if (mine !== turn) return; // something else was chosen meanwhile
    for (const key of KEYS) fill(key, wanted[key]);
    // Of one recipe, two variants are worth comparing, a run with itself is not.
    if (picks.a.value === picks.b.value && runs.a.value === runs.b.value && !wanted.b && runs.b.options.length > 1) runs.b.selectedIndex = runs.a.selectedIndex === 0 ? 1 : 0;
    show();
    remember();
  }

  function remember() {
    const state = new URLSearchParams();
    for (const key of KEYS) if (picks[key].value) state.set(key, picks[key].value);
    for (const key of KEYS) if (runs[key].value) state.set(`run-${key}`, runs[key].value);
    const text = state.toString();
    if (text || location.hash.includes("=")) history.replaceState(null, "", `#${text}`);
  }

  function recall() {
    const hash = location.hash.slice(1);
    if (hash && !hash.includes("=")) return; // a place within the page
    const state = new URLSearchParams(hash);
    for (const key of KEYS) picks[key].value = names.has(state.get(key)) ? state.get(key) : "";
    update({ a: state.get("run-a"), b: state.get("run-b") });
  }

  const kept = () => ({ a: runs.a.value, b: runs.b.value });
  for (const key of KEYS) {
    picks[key].addEventListener("change", () => update({ ...kept(), [key]: "" }));
    runs[key].addEventListener("change", () => update(kept()));
  }
  document.getElementById("swap").addEventListener("click", () => {
    const wanted = { a: runs.b.value, b: runs.a.value };
    [picks.a.value, picks.b.value] = [picks.b.value, picks.a.value];
    update(wanted);
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  window.addEventListener("hashchange", recall);
  form.hidden = false;
  recall();
})();
