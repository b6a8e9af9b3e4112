// Keeps a page fresh that is complete without it: it makes what the page has in it what
// the gateway drew last, and says how old that is.
"use strict";

(() => {
  const silentAfter = 5_000; // ms without an event until the figures count as old
  const hideAfter = 30_000; // ms hidden until the stream is closed

  const main = document.getElementById("main");
  const age = document.getElementById("age");
  const ageText = document.getElementById("age-text");
  let heard = Date.now();
  let source = null;
  let events = 0;
  let hiding = 0;

  // morph makes an element what another is, and leaves alone what is the same: what is
  // folded out or focused stays so.
  function morph(from, to) {
    for (const { name, value } of to.attributes) {
      if (from.getAttribute(name) !== value) from.setAttribute(name, value);
    }
    for (const { name } of [...from.attributes]) {
      if (name !== "open" && !to.hasAttribute(name)) from.removeAttribute(name);
    }
    let at = from.firstChild;
    for (const next of [...to.childNodes]) {
      if (next.nodeType === Node.TEXT_NODE && !next.data.trim()) continue;
      // What is alike stays the element it is, wherever it goes; an id tells one from another.
      let same = at;
      while (same && (same.nodeName !== next.nodeName || (same.id || "") !== (next.id || ""))) same = same.nextSibling;
      if (!same) {
        from.insertBefore(next, at);
        continue;
      }
      if (same === at) at = at.nextSibling;
      else from.insertBefore(same, at);
      if (same.nodeType === Node.ELEMENT_NODE) morph(same, next);
      else if (same.data !== next.data) same.data = next.data;
    }
    while (at) {
      const gone = at;
      at = at.nextSibling;
      gone.remove();
    }
  }

  function apply(html) {
    const fresh = document.createElement("main");
    fresh.innerHTML = html;
    fresh.id = main.id;
    fresh.tabIndex = -1;
    morph(main, fresh);
  }

  function listen() {
    if (source) return;
    const stream = new EventSource("/events");
    source = stream;
    stream.addEventListener("main", (e) => {
      if (stream !== source) return;
      heard = Date.now();
      apply(JSON.parse(e.data));
      events += 1;
      document.documentElement.dataset.events = String(events);
    });
    stream.addEventListener("error", () => {
      // A browser comes back by itself, except after an answer that is no stream.
      if (stream === source && stream.readyState === EventSource.CLOSED) {
        close();
        setTimeout(() => { if (!document.hidden) listen(); }, 5_000);
      }
    });
  }

  function close() {
    if (source) source.close();
    source = null;
  }

  function showAge() {
    const silence = Date.now() - heard;
    const old = silence > silentAfter;
    const text = old
      ? age.dataset.old.replace("%s", new Date(heard).toISOString().slice(11, 19))
      : age.dataset.live.replace("%s", String(Math.round(silence / 1000)));
    if (ageText.textContent !== text) ageText.textContent = text;
    age.classList.toggle("live", !old);
    age.classList.toggle("old", old);
    document.body.classList.toggle("stale", old);
  }

  document.addEventListener("visibilitychange", () => {
    clearTimeout(hiding);
    if (document.hidden) hiding = setTimeout(close, hideAfter);
    else listen();
  });

  listen();
  setInterval(showAge, 1_000);
})();
