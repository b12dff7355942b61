// Before the first paint: the theme of Airflow's page around this frame, else the one chosen there, else the system's.
(() => {
  const root = document.documentElement;
  root.classList.add("js");
  const around = () => {
    try {
      return window.parent !== window ? window.parent.document.documentElement : null;
    } catch {
      return null;
    }
  };
  const chosen = () => {
    try {
      return localStorage.getItem("theme");
    } catch {
      return null;
    }
  };
  const apply = () => {
    const outer = around();
    let dark = matchMedia("(prefers-color-scheme: dark)").matches;
    if (outer && (outer.classList.contains("dark") || outer.classList.contains("light"))) {
      dark = outer.classList.contains("dark");
    } else if (chosen() === "dark" || chosen() === "light") {
      dark = chosen() === "dark";
    }
    root.dataset.theme = dark ? "dark" : "light";
  };
  apply();
  addEventListener("storage", apply);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", apply);
  const outer = around();
  if (outer) {
    const watcher = new MutationObserver(apply);
    watcher.observe(outer, { attributes: true, attributeFilter: ["class"] });
    addEventListener("pagehide", () => watcher.disconnect());
  }
})();
