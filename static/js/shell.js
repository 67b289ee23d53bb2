// The frame's small script: theme switch, copy boxes, "/" for search, and a guard that masks a pasted key before it is sent.
(() => {
  "use strict";
  const root = document.documentElement;
  const words = document.body.dataset;

  const themeButton = document.querySelector("[data-theme-switch]");
  if (themeButton) {
    const isDark = () =>
      root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    themeButton.hidden = false;
    themeButton.setAttribute("aria-pressed", String(isDark()));
    themeButton.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      themeButton.setAttribute("aria-pressed", String(isDark()));
      document.cookie = `theme=${root.dataset.theme};path=/;max-age=31536000;samesite=lax`;
      document.dispatchEvent(new CustomEvent("theme-changed"));
    });
  }

  // A long rail of staff: the page one is on is in sight, without moving the page itself.
  const rail = document.getElementById("rail");
  const current = rail && rail.querySelector("[aria-current]");
  if (current && rail.scrollHeight > rail.clientHeight) {
    const below = current.offsetTop + current.offsetHeight - rail.clientHeight;
    if (below > 0) rail.scrollTop = below + rail.clientHeight / 3;
  }

  const say = (text) => {
    const live = document.getElementById("live");
    if (!live) return;
    live.textContent = "";
    setTimeout(() => { live.textContent = text; }, 30);
  };

  const copyText = async (text) => {
    if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "sr-only";
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    if (!done) throw new Error("copy refused");
  };

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const from = button.dataset.copy ? document.querySelector(button.dataset.copy) : button.previousElementSibling;
    const label = button.querySelector("[data-copy-word]") || button;
    const before = label.textContent;
    try {
      await copyText("value" in from ? from.value : from.textContent.trim());
      label.textContent = words.copied;
      say(words.copied);
    } catch {
      getSelection().selectAllChildren(from);
      label.textContent = words.copyHand;
      say(words.copyHand);
    }
    setTimeout(() => { label.textContent = before; }, 2500);
  });

  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, textarea, select, [contenteditable]")) return;
    const search = document.querySelector("input[type=search]");
    if (search) {
      event.preventDefault();
      search.focus();
      search.select();
    }
  });

  // A full key never leaves the browser by a search box: its last four characters are enough to find it.
  const KEY = /\b(?:sk|pk|rk)-[A-Za-z0-9_-]{12,}|\b(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-Za-z0-9]{48}\b/g;
  document.addEventListener("submit", (event) => {
    for (const input of event.target.querySelectorAll("[data-mask-keys]")) {
      const masked = input.value.replace(KEY, (found) => found.slice(-4));
      if (masked !== input.value) {
        input.value = masked;
        say(words.masked);
      }
    }
  }, true);

  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-submit-on-change]")) event.target.form.requestSubmit();
  });
})();
