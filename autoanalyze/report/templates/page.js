"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const PORTION = 60, PAUSE = 200, AROUND = 60;
  const reader = byId("reader"), body = byId("reader-body"), back = byId("reader-back"), title = byId("reader-title");
  const list = byId("reader-list"), article = byId("reader-session"), query = byId("query"), hits = byId("hits");

  // All texts are strangers': they are only ever set as text.
  function element(name, text, className) {
    const made = document.createElement(name);
    if (text !== undefined) { made.textContent = text; made.dir = "auto"; }
    if (className) made.className = className;
    return made;
  }

  async function unpacked(id) {
    const letters = atob(byId(id).textContent), bytes = new Uint8Array(letters.length);
    for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).json();
  }

  let loading;
  function sessions() {
    loading ??= unpacked("columns").then((found) => {
      found.places = new Map(found.ids.map((id, place) => [id, place]));
      found.byName = new Map(found.fields.map((field) => [field.name, field]));
      return found;
    });
    return loading;
  }
  const blocks = new Map();
  async function block(number) {
    if (!blocks.has(number)) {
      if (blocks.size >= 8) blocks.delete(blocks.keys().next().value);
      blocks.set(number, unpacked(`block-${number}`));
    }
    return blocks.get(number);
  }
  const labelOf = (field, place) => (field.codes[place] < 0 ? null : field.labels[field.codes[place]]);
  const linkTo = (id) => `#/session?${new URLSearchParams({ id })}`;
  const number = new Intl.NumberFormat("en");
  const counted = (count, noun) => `${number.format(count)} ${noun}${count === 1 ? "" : "s"}`;

  // The text with what was searched for marked.
  function marked(parent, text, sought) {
    const low = text.toLowerCase();
    let from = 0;
    for (let at; sought && (at = low.indexOf(sought, from)) >= 0; from = at + sought.length) {
      parent.append(text.slice(from, at), element("mark", text.slice(at, at + sought.length)));
    }
    parent.append(text.slice(from));
    return parent;
  }

  // A list that grows as one scrolls: `more` draws the next rows of `items`, which may itself grow.
  function growing(target, items, draw) {
    target.replaceChildren();
    const end = element("li", undefined, "end");
    end.setAttribute("aria-hidden", "true");
    let drawn = 0;
    const more = () => {
      const next = items.slice(drawn, drawn + PORTION).map(draw);
      drawn += next.length;
      end.before(...next);
      if (!next.length) return;
      watcher.unobserve(end);
      watcher.observe(end);
    };
    const watcher = new IntersectionObserver((seen) => seen.some((one) => one.isIntersecting) && more(), { rootMargin: "600px" });
    target.append(end);
    more();
    watcher.observe(end);
    return () => { if (drawn < PORTION) more(); else { watcher.unobserve(end); watcher.observe(end); } };
  }

  function row(found, place, passage, sought) {
    const made = element("li"), link = element("a", found.ids[place]);
    link.href = linkTo(found.ids[place]);
    const labels = found.fields.map((field) => labelOf(field, place)).filter((label) => label !== null);
    made.append(link, " ", element("span", found.times[place] ?? "", "aside"), element("p", labels.join(" · ")));
    const note = passage ?? (found.notes && found.notes[place]);
    if (note) {
      const shown = element("p", "", "aside");
      made.append(marked(shown, note, sought));
    }
    return made;
  }

  let trail = "", shown = [];
  async function showSessions(wanted, hash) {
    const found = await sessions();
    const tests = [...wanted].map(([name, label]) => {
      const field = found.byName.get(name);
      return field && [field.codes, field.labels.indexOf(label)];
    }).filter(Boolean);
    back.hidden = true; article.hidden = true; list.hidden = false;
    if (trail !== hash) {
      trail = hash;
      delete list.dataset.left;
      shown = [...found.ids.keys()].filter((place) => tests.every(([codes, code]) => codes[place] === code && code >= 0));
      list.querySelector("p")?.remove();
      list.prepend(element("p", counted(shown.length, "session"), "aside"));
      growing(list.querySelector("ol"), shown, (place) => row(found, place));
      body.scrollTop = 0;
    }
    title.textContent = [...wanted].map(([, label]) => label).join(" · ") || "All sessions";
    const left = [...list.querySelectorAll("a")].find((link) => link.hash === list.dataset.left);
    open(left);
  }

  async function showSession(id) {
    const found = await sessions(), place = found.places.get(id);
    list.dataset.left = linkTo(id);
    list.hidden = true; article.hidden = false; article.replaceChildren();
    back.hidden = !trail;
    if (trail) back.href = trail;
    title.textContent = place === undefined ? "There is no such session here" : id;
    if (place === undefined) return open();
    const facts = element("dl", undefined, "facts");
    for (const field of found.fields) {
      const label = labelOf(field, place);
      if (label !== null) facts.append(fact(field.title, label));
    }
    if (found.times[place]) facts.append(fact("Began (UTC)", found.times[place]));
    article.append(facts);
    if (found.notes && found.notes[place]) article.append(element("p", found.notes[place]));
    if (found.transcripts) {
      const said = (await block(Math.floor(place / found.block)))[place % found.block];
      const messages = element("ol", undefined, "messages");
      for (const [role, text, time] of said) messages.append(message(role, text, time));
      article.append(messages);
    } else article.append(element("p", "This page holds no transcripts.", "aside"));
    article.append(steps(found, place));
    body.scrollTop = 0;
    open();
  }
  function fact(name, value) {
    const made = element("div");
    made.append(element("dt", name), element("dd", value));
    return made;
  }
  function message(role, text, time) {
    const made = element("li", undefined, ["user", "bot", "agent"].includes(role) ? role : "");
    made.append(element("span", time ? `${role} · ${time}` : role, "who"), marked(element("p", ""), text, sought()));
    return made;
  }
  function steps(found, place) {
    const made = element("p", undefined, "steps"), at = shown.indexOf(place);
    for (const [text, other] of [["← Previous session", shown[at - 1]], ["Next session →", shown[at + 1]]]) {
      if (at < 0 || other === undefined) continue;
      const link = element("a", text);
      link.href = linkTo(found.ids[other]);
      made.append(link);
    }
    return made;
  }
  function open(focused) {
    if (!reader.open) reader.showModal();
    (focused ?? title).focus();
  }

  const sought = () => query.value.trim().toLowerCase();
  let search = 0;
  async function find() {
    const mine = ++search, text = sought(), labelHits = byId("label-hits"), target = byId("session-hits");
    labelHits.replaceChildren(); target.replaceChildren(); hits.textContent = "";
    if (text.length < 2) return;
    const found = await sessions();
    if (mine !== search) return;
    let labels = 0;
    for (const field of found.fields) for (const label of field.labels) {
      if (!label.toLowerCase().includes(text) || ++labels > 40) continue;
      const made = element("li"), link = element("a", `${field.title}: ${label}`);
      link.href = `#/sessions?${new URLSearchParams({ [field.name]: label })}`;
      made.append(link);
      labelHits.append(made);
    }
    const items = [], grow = growing(target, items, ([place, passage]) => row(found, place, passage, text));
    const blockCount = Math.ceil(found.ids.length / found.block);
    if (blockCount > 25) hits.textContent = "Searching …";
    for (let at = 0; at < blockCount; at++) {
      // Past the small store of blocks: a search looks at each once.
      const said = found.transcripts ? await (blocks.get(at) ?? unpacked(`block-${at}`)) : null;
      if (mine !== search) return;
      for (let place = at * found.block; place < Math.min((at + 1) * found.block, found.ids.length); place++) {
        const texts = [found.ids[place], found.notes?.[place], ...(said ? said[place % found.block].map((one) => one[1]) : [])];
        const hit = texts.find((one) => one && one.toLowerCase().includes(text));
        if (hit !== undefined) items.push([place, hit === found.ids[place] ? undefined : passage(hit, text)]);
      }
      grow();
    }
    hits.textContent = `${counted(labels, "label")} and ${counted(items.length, "session")} found`;
  }
  function passage(text, wanted) {
    const at = text.toLowerCase().indexOf(wanted), from = Math.max(0, at - AROUND), to = at + wanted.length + AROUND;
    return (from ? "… " : "") + text.slice(from, to) + (to < text.length ? " …" : "");
  }

  async function route() {
    const [view, rest = ""] = [location.hash.split("?")[0], location.hash.slice(location.hash.indexOf("?") + 1)];
    const wanted = new URLSearchParams(location.hash.includes("?") ? rest : "");
    try {
      if (view === "#/sessions") await showSessions(wanted, location.hash);
      else if (view === "#/session") await showSession(wanted.get("id"));
      else if (reader.open) reader.close();
      if (view === "#/search" && query.value !== wanted.get("q")) { query.value = wanted.get("q") ?? ""; find(); }
    } catch (error) {
      title.textContent = "Sessions cannot be shown: this browser is too old, or the file is damaged.";
      open();
    }
  }
  const searchHash = () => (query.value ? `#/search?${new URLSearchParams({ q: query.value })}` : "#");

  for (const one of document.querySelectorAll("[data-script]")) one.hidden = false;
  addEventListener("hashchange", route);
  byId("reader-close").addEventListener("click", () => reader.close());
  reader.addEventListener("click", (event) => event.target === reader && reader.close());
  reader.addEventListener("close", () => { // also by Esc; the address no longer names what is closed
    trail = "";
    if (/^#\/sessions?\?/.test(location.hash)) history.pushState(null, "", searchHash());
  });
  let waiting;
  query.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => { history.replaceState(null, "", searchHash()); find(); }, PAUSE);
  });
  byId("search-form").addEventListener("submit", (event) => { event.preventDefault(); find(); });
  route();
})();
