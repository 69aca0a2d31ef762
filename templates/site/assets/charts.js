// Draws the Vega-Lite specs of a page: <div class="chart" data-spec="ID"> with the spec in <script id="ID">.
// A spec is JSON in a block that no browser runs; expressions are interpreted, not compiled (`ast`), so that the
// page's policy can forbid eval and inline scripts. Without this script the tables beside the charts remain.
(function () {
  "use strict";
  const themes = JSON.parse(document.getElementById("chart-themes").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const drawn = new Map();
  const busy = new WeakMap();

  function tooltip(handler, event, item, value) {
    // The browser's own tooltip: a library's would need inline styles.
    const svg = event && event.target instanceof Element ? event.target.closest("svg") : null;
    if (!svg) return;
    svg.querySelectorAll(":scope > title.tip").forEach((node) => node.remove());
    if (value === null || value === undefined || value === "") return;
    const title = document.createElementNS("http://www.w3.org/2000/svg", "title");
    title.setAttribute("class", "tip");
    title.textContent = typeof value === "object"
      ? Object.entries(value).map(([key, one]) => key + ": " + one).join("\n") : String(value);
    svg.prepend(title);
  }

  // Draws one spec into an element; used by the comparison too. One drawing of an element at a time: two that run at
  // once, because the scheme changes while a page is printed, would leave two charts in it.
  function draw(element, spec, label, ground) {
    const done = (busy.get(element) || Promise.resolve()).then(() => drawNow(element, spec, label, ground));
    busy.set(element, done.catch(() => undefined));
    return done;
  }

  async function drawNow(element, spec, label, ground) {
    forget(element);
    element.replaceChildren();
    const sized = Object.assign({}, spec, { width: "container", autosize: { type: "fit-x", contains: "padding" } });
    const result = await window.vegaEmbed(element, sized, {
      ast: true, renderer: "svg", actions: false, defaultStyle: false, tooltip: tooltip, logLevel: 1,
      config: themes[ground || (dark.matches ? "dark" : "light")],
    });
    const svg = element.querySelector("svg");
    if (svg) {
      // One image with one description; marks that announce themselves one by one would say nothing more.
      for (const part of svg.querySelectorAll("[role]")) {
        for (const name of part.getAttributeNames()) if (name === "role" || name.startsWith("aria-")) part.removeAttribute(name);
      }
      svg.setAttribute("role", "img");
      svg.setAttribute("aria-label", label);
    }
    drawn.set(element, { view: result.view, spec: spec, label: label });
    element.dataset.drawn = "yes";
  }

  function forget(element) {
    const old = drawn.get(element);
    if (old) old.view.finalize();
    drawn.delete(element);
  }

  function drawElement(element, ground) {
    const block = document.getElementById(element.dataset.spec);
    return draw(element, JSON.parse(block.textContent), element.dataset.label, ground).catch((error) => {
      element.textContent = "This chart could not be drawn (" + error.message + "); its figures stand in the table.";
    });
  }

  function redraw(ground) {
    [...drawn.entries()].forEach(([element, one]) => {
      // The comparison takes charts out when another choice is made.
      if (element.isConnected) draw(element, one.spec, one.label, ground); else forget(element);
    });
  }

  window.recipegenCharts = { draw: draw };
  const waiting = [...document.querySelectorAll(".chart[data-spec]")];
  const seen = new IntersectionObserver((entries) => {
    entries.filter((entry) => entry.isIntersecting).forEach((entry) => {
      seen.unobserve(entry.target);
      drawElement(entry.target);
    });
  }, { rootMargin: "300px" });
  waiting.forEach((element) => seen.observe(element));
  dark.addEventListener("change", () => redraw());
  window.addEventListener("beforeprint", () => {
    waiting.filter((element) => !drawn.has(element)).forEach((element) => drawElement(element, "light"));
    redraw("light");
  });
  window.addEventListener("afterprint", () => redraw());
})();
