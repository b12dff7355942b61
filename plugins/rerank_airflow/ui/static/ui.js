// Conveniences only: every page works without.

// A choice takes effect at once.
for (const field of document.querySelectorAll("select[data-submit]")) {
  field.addEventListener("change", () => field.form.requestSubmit());
}

// "/" goes to the search.
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, select, textarea");
  const search = document.querySelector("[role=search] input[type=search]");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey && search) {
    event.preventDefault();
    search.focus();
  }
});

// Airflow's frame may open no windows and may not leave its place: links to articles and to Airflow's own pages are
// followed by the page around it.
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[target=_blank], a[data-top]");
  if (!link || window.parent === window || event.defaultPrevented || event.button !== 0) {
    return;
  }
  const address = new URL(link.href);
  if (address.protocol !== "http:" && address.protocol !== "https:") {
    return;
  }
  let outer;
  try {
    outer = window.parent.document.createElement("a");
  } catch {
    return;
  }
  event.preventDefault();
  outer.href = address.href;
  outer.rel = "noopener noreferrer";
  if (link.target === "_blank" || event.ctrlKey || event.metaKey) {
    outer.target = "_blank";
  }
  outer.click();
});
