// Buttons that copy a command: <button class="copy" data-copy-from="ID of the element with the text">.
(function () {
  "use strict";

  // Without scripts the buttons would do nothing; the style sheet shows them where this class is.
  document.documentElement.classList.add("js");

  const said = document.createElement("div");
  said.setAttribute("role", "status");
  said.className = "visually-hidden";

  // The older way, for pages that are served without encryption: a selection, and the event that copies it.
  function copySelection(element, text) {
    const selection = document.getSelection();
    const before = selection.rangeCount ? selection.getRangeAt(0) : null;
    const range = document.createRange();
    range.selectNodeContents(element);
    selection.removeAllRanges();
    selection.addRange(range);
    function put(event) {
      event.clipboardData.setData("text/plain", text);
      event.preventDefault();
    }
    document.addEventListener("copy", put, { once: true });
    const done = document.execCommand("copy");
    document.removeEventListener("copy", put);
    if (done) {
      selection.removeAllRanges();
      if (before) selection.addRange(before);
    }
    return done;
  }

  async function copy(button) {
    const element = document.getElementById(button.dataset.copyFrom);
    if (!element) return;
    const text = element.textContent;
    let done = false;
    if (navigator.clipboard && window.isSecureContext) {
      try {
        await navigator.clipboard.writeText(text);
        done = true;
      } catch (refused) {
        done = false; // no permission: the older way asks for none
      }
    }
    done = done || copySelection(element, text);
    const label = button.dataset.label || button.textContent;
    button.dataset.label = label;
    button.textContent = done ? "Copied" : "Selected";
    said.textContent = "";
    // A region says only what changes, so that the same words twice need an empty moment between them.
    setTimeout(() => {
      said.textContent = done ? "Copied to the clipboard" : "Copying was refused; the text is selected, copy it by keyboard";
    }, 50);
    setTimeout(() => {
      button.textContent = label;
    }, 2000);
  }

  document.body.append(said);
  document.addEventListener("click", (event) => {
    const button = event.target instanceof Element ? event.target.closest("button.copy") : null;
    if (button) copy(button);
  });
})();
