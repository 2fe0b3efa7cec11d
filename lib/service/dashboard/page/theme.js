// @ts-check
// Runs before anything is painted, so that no page flashes in the wrong colours.
(() => {
  const KEY = "agent-runner.theme";
  const root = document.documentElement;

  /** @param {string | null} theme */
  const show = (theme) => {
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    else delete root.dataset.theme;
  };

  /** Storage may be switched off; then the choice lasts as long as the page. */
  const stored = () => {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null;
    }
  };

  show(stored());
  globalThis.addEventListener("storage", () => show(stored()));
  root.addEventListener("choose-theme", (event) => {
    const theme = /** @type {CustomEvent<string>} */ (event).detail;
    show(theme);
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // See stored().
    }
  });
})();
