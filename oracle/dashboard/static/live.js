// Keeps a page fresh that is complete without it. It writes text and a few
// attributes into elements that carry a data-live name, puts rows that the server
// drew into lists, and says how old the figures are.
"use strict";

(() => {
  const main = document.getElementById("main");
  const silentAfter = main.dataset.topics.split(",").includes("power") ? 10_000 : 35_000; // ms without an event until the figures count as old
  const hideAfter = 30_000; // ms hidden until the stream is closed
  const sayEvery = 30_000; // ms between two things read aloud
  const attributes = new Set(["d", "x", "width"]);

  // phrase says a text in the language of the page, which has what is not in English.
  const language = document.documentElement.lang;
  const texts = JSON.parse(document.getElementById("texts")?.content.textContent || "{}");
  const phrase = (text, ...of) => (texts[text] || text).replace(/%s/g, () => of.shift());

  // The page that verifies asks no server, and goes by what this browser keeps.
  const chosen = document.querySelector('[name="language"][aria-pressed="true"]')?.value;
  try {
    if (chosen) localStorage.setItem("wattmark-language", chosen);
  } catch {
    // A browser that keeps nothing.
  }

  const controls = document.getElementById("controls"); // the ribbon's forms, where there are any
  const age = document.getElementById("age");
  const ageText = document.getElementById("age-text");
  const said = document.getElementById("said");
  const changes = new Set(["ledger", "interval", "gateway", "me"]); // topics that carry no figures
  let topics = main.dataset.topics; // with commas; empty for a page that changes no more
  let last = main.dataset.event; // id of the newest event that the page has in it
  let heard = Date.now();
  let opened = false;
  let renewing = 0;
  let saidAt = 0;
  let source = null;
  let events = 0;
  let hiding = 0;
  let choosing = 0;

  function apply(update) {
    const text = update.text || {};
    const attr = update.attr || {};
    for (const row of update.rows || []) put(row);
    for (const list of update.swap || []) {
      const into = listOf(list.into);
      if (into) into.innerHTML = list.html;
    }
    for (const e of main.querySelectorAll("[data-live]")) {
      const t = text[e.dataset.live];
      if (t !== undefined && e.textContent !== t) e.textContent = t;
      for (const [name, value] of Object.entries(attr[e.dataset.live] || {})) {
        if (attributes.has(name)) e.setAttribute(name, value);
      }
    }
    if (update.say && Date.now() - saidAt > sayEvery) {
      saidAt = Date.now();
      said.textContent = update.say;
    }
  }

  function listOf(name) {
    return main.querySelector('[data-rows="' + name + '"]');
  }

  // put replaces the row with the same id, or puts the new one on top.
  function put({ into, html }) {
    const list = listOf(into);
    if (!list) return;
    const box = document.createElement("template");
    box.innerHTML = html;
    const row = box.content.firstElementChild;
    const old = document.getElementById(row.id);
    if (old) {
      old.replaceWith(row);
      return;
    }
    for (const e of list.querySelectorAll(".empty")) e.remove();
    row.classList.add("new");
    // Newest on top, by the number in the id: news of one kind may come late.
    const number = (e) => Number(e.id.slice(e.id.lastIndexOf("-") + 1));
    list.insertBefore(row, [...list.children].find((e) => number(e) < number(row)) || null);
    while (list.dataset.max && list.children.length > Number(list.dataset.max)) list.lastElementChild.remove();
  }

  async function fetchPage() {
    const answer = await fetch(location.href, { cache: "no-store" });
    if (!answer.ok) throw new Error(answer.statusText);
    return new DOMParser().parseFromString(await answer.text(), "text/html");
  }

  // choose renews the ribbon's forms. One that somebody is in stays until it is left, and what
  // was chosen in a list stays chosen as long as it is there.
  function choose(page) {
    const next = page.getElementById("controls");
    if (!controls || !next || page.documentElement.lang !== language) return;
    const begun = controls.querySelector("form:focus-within");
    const to = (form) => form.getAttribute("action");
    const first = (list) => Math.max(0, [...list.options].findIndex((o) => o.defaultSelected));
    const kept = new Map();
    for (const form of [...controls.children]) {
      const list = form.querySelector("select");
      if (list && list.selectedIndex !== first(list)) kept.set(to(form), list.value);
      if (form !== begun) form.remove();
    }
    let behind = !begun; // the form that stays
    for (const form of [...next.children]) {
      if (begun && to(form) === to(begun)) {
        behind = true;
        continue;
      }
      if (behind) controls.append(form);
      else begun.before(form);
      const list = form.querySelector("select");
      if (list && [...list.options].some((o) => o.value === kept.get(to(form)))) list.value = kept.get(to(form));
    }
    controls.hidden = next.hidden;
    if (begun) {
      const left = (e) => {
        if (begun.contains(e.relatedTarget)) return;
        begun.removeEventListener("focusout", left);
        chooseSoon();
      };
      begun.addEventListener("focusout", left);
    }
  }

  // chooseSoon renews the ribbon alone: not all pages at once.
  function chooseSoon() {
    if (choosing) return;
    choosing = setTimeout(async () => {
      choosing = 0;
      try {
        choose(await fetchPage());
      } catch {
        setTimeout(chooseSoon, 5_000);
      }
    }, 400 * Math.random());
  }

  // renew fetches the page and takes from it the parts that are kept fresh, or all of main:
  // where the page names none, and where it missed too much.
  async function renew(all) {
    const page = await fetchPage();
    const fresh = page.getElementById("main");
    const parts = all ? [] : [...main.querySelectorAll("[data-part]")];
    const next = (part) => fresh.querySelector('[data-part="' + part.dataset.part + '"]');
    if (page.documentElement.lang !== language || (parts.length > 0 && !parts.some(next))) { // it is another page: the session has ended, or another language was chosen
      location.reload();
      return;
    }
    const open = [...main.querySelectorAll("details")].map((d) => d.open);
    const known = new Set([...main.querySelectorAll("tr[id]")].map((e) => e.id));
    if (parts.length === 0) main.replaceChildren(...fresh.childNodes);
    for (const part of parts) part.replaceChildren(...(next(part)?.childNodes || []));
    if (known.size > 0) {
      for (const e of main.querySelectorAll("tr[id]")) e.classList.toggle("new", !known.has(e.id));
    }
    main.querySelectorAll("details").forEach((d, i) => { d.open = Boolean(open[i]); });
    choose(page);
    if (parts.length === 0) last = fresh.dataset.event; // else the stream has more that is not in yet
    topics = fresh.dataset.topics;
  }

  // refetch is for a page that missed too much. It takes nothing more from the
  // stream until the fresh page is in.
  async function refetch() {
    close();
    try {
      await renew(true);
      listen();
    } catch {
      setTimeout(refetch, 5_000);
    }
  }

  // soon renews a page of which something has changed: not all pages at once, and one as
  // often as somebody can read.
  function soon() {
    if (renewing) return;
    const stream = source;
    renewing = setTimeout(async () => {
      try {
        await renew();
      } catch {
        setTimeout(soon, 5_000);
      }
      renewing = 0;
      if (topics === "" && stream === source) close(); // it changes no more
    }, 200 + 800 * Math.random());
  }

  function listen() {
    if (source || topics === "") return;
    source = new EventSource("/events?topics=" + topics + "&language=" + language + "&after=" + last);
    const stream = source;
    const take = (run) => (e) => {
      if (stream !== source) return;
      heard = Date.now();
      last = e.lastEventId || last;
      run(e);
      events += 1;
      document.documentElement.dataset.events = String(events);
    };
    for (const topic of topics.split(",")) {
      source.addEventListener(topic, take(topic === "control" ? chooseSoon : changes.has(topic) ? soon : (e) => apply(JSON.parse(e.data))));
    }
    source.addEventListener("open", () => {
      if (stream !== source) return;
      heard = Date.now();
      if (opened && topics.split(",").includes("me")) soon(); // what is for one member alone is not kept for who comes back
      opened = true;
    });
    source.addEventListener("beat", take(() => {}));
    source.addEventListener("reset", take(refetch));
    source.addEventListener("error", () => {
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
    if (topics === "") {
      ageText.textContent = phrase("Changes no more");
      age.classList.remove("live", "old");
      return;
    }
    const silence = Date.now() - heard;
    const old = silence > silentAfter;
    const text = old
      ? phrase("No news since %s", new Date(heard).toLocaleTimeString(language === "en" ? "en-GB" : language))
      : phrase("Live · %s s ago", Math.round(silence / 1000));
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

  if (!document.hidden) listen(); // a browser has few connections to one host for all of its tabs
  setInterval(showAge, 1_000);
})();
