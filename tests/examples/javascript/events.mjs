// What readers see, open and hide: watch(document.querySelectorAll("[data-revision-id]"), "/events").
// A row has data-run-id, data-topic, data-rank and data-revision-id, a link, and perhaps a button with data-hide. An
// impression is half of the row, on screen for one second, once. Nothing is told of who reads: no id, no cookie of its own.
export function watch(rows, address) {
  const told = new WeakMap(); // row → the events that were told of it
  const timers = new Map();
  function tell(row, event) {
    const events = told.get(row) ?? told.set(row, new Set()).get(row);
    if (events.has(event)) return;
    events.add(event);
    const { runId, topic, rank, revisionId } = row.dataset;
    const which = { run_id: Number(runId), topic, rank: Number(rank), revision_id: Number(revisionId) };
    const what = { event_id: crypto.randomUUID(), event, time: new Date().toISOString() };
    navigator.sendBeacon(address, JSON.stringify({ ...which, ...what }));
  }
  const observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      clearTimeout(timers.get(target));
      if (isIntersecting) timers.set(target, setTimeout(tell, 1000, target, "impression"));
    }
  }, { threshold: 0.5 });
  function start() {
    for (const timer of timers.values()) clearTimeout(timer);
    observer.disconnect(); // a page in the background is seen by nobody
    if (document.visibilityState === "visible") for (const row of rows) observer.observe(row);
  }
  document.addEventListener("visibilitychange", start);
  start();
  for (const row of rows) {
    for (const kind of ["click", "auxclick"]) {
      row.addEventListener(kind, ({ target, button }) => {
        const event = target.closest("[data-hide]") ? "hide" : target.closest("a") && button < 2 ? "open" : null;
        if (event) for (const each of ["impression", event]) tell(row, each); // what is opened was on screen
      });
    }
  }
}
