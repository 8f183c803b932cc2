// The pages work without this file. It makes the list live, and adds keys and copying.
"use strict";

(() => {
  const LIVE_MS = 1000;
  document.documentElement.classList.add("js");

  const say = (text) => {
    const box = document.getElementById("said");
    box.textContent = text;
    box.classList.add("on");
    clearTimeout(say.timer);
    say.timer = setTimeout(() => box.classList.remove("on"), 2500);
  };

  // Live: ask with the page's ETag; the server answers 304 as long as nothing came or went.
  const live = document.getElementById("live");
  let etag = live && `"${live.dataset.etag}"`;
  let asking = false;

  const chosen = () => document.querySelector(".issue.chosen");

  const choose = (row) => {
    const before = chosen();
    if (before) before.classList.remove("chosen");
    if (!row) return;
    row.classList.add("chosen");
    row.scrollIntoView({ block: "nearest" });
    row.querySelector(".title").focus({ preventScroll: true });
  };

  // Chosen for resolve, mute, reopen: x chooses, r resolves, m mutes, o reopens.
  const count = () => {
    const bulk = document.getElementById("bulk");
    if (!bulk) return;
    const many = document.querySelectorAll(".pickone:checked").length;
    bulk.classList.toggle("on", many > 0);
    bulk.querySelector(".said-n").textContent = many ? `${many} chosen` : "";
  };
  document.addEventListener("change", (event) => { if (event.target.matches(".pickone")) count(); });

  const setState = (name) => {
    const bulk = document.getElementById("bulk");
    const form = bulk || document.querySelector("form.states");
    const button = form && form.querySelector(`button[value="${name}"]`);
    if (!button) return;
    if (bulk && !document.querySelector(".pickone:checked")) {
      if (!chosen()) return;
      chosen().querySelector(".pickone").checked = true;
    }
    button.click();
  };

  document.addEventListener("submit", (event) => {
    const sure = event.target.dataset.sure;
    if (sure && !confirm(sure)) event.preventDefault();
  });

  const replace = (text) => {
    const fresh = new DOMParser().parseFromString(text, "text/html").getElementById("live");
    if (!fresh) return;
    const known = new Map();
    for (const row of live.querySelectorAll(".issue")) known.set(row.dataset.id, row.dataset.last);
    const kept = chosen() && chosen().dataset.id;
    const focused = live.contains(document.activeElement);
    if (known.size) {
      for (const row of fresh.querySelectorAll(".issue")) {
        if (known.get(row.dataset.id) !== row.dataset.last) row.classList.add("fresh");
      }
    }
    const scrolled = [...live.querySelectorAll(".chart")].map((chart) => chart.scrollLeft);
    const picked = new Set([...live.querySelectorAll(".pickone:checked")].map((box) => box.value));
    live.replaceChildren(...fresh.childNodes);
    live.querySelectorAll(".pickone").forEach((box) => { box.checked = picked.has(box.value); });
    localise();
    count();
    live.querySelectorAll(".chart").forEach((chart, at) => { chart.scrollLeft = scrolled[at] || 0; });
    if (kept) {
      const row = live.querySelector(`.issue[data-id="${CSS.escape(kept)}"]`);
      if (row && focused) choose(row);
      else if (row) row.classList.add("chosen");
    }
  };

  const ask = async () => {
    if (asking || document.hidden) return;
    asking = true;
    try {
      const headers = { "X-Live": "1", "If-None-Match": etag };
      const answer = await fetch(location.href, { headers, cache: "no-store" });
      if (answer.status === 200) {
        etag = answer.headers.get("ETag");
        replace(await answer.text());
      }
    } catch (error) {
      // The inbox is being restarted: the next round tells.
    }
    asking = false;
  };

  if (live && live.dataset.live) {
    setInterval(ask, LIVE_MS);
    document.addEventListener("visibilitychange", ask);
  }

  // The newest is at the right; on a narrow screen it would be out of sight.
  const showNewest = () => {
    for (const chart of document.querySelectorAll(".chart")) chart.scrollLeft = chart.scrollWidth;
  };
  showNewest();

  // Ages go on between two answers.
  const age = () => {
    for (const time of document.querySelectorAll("time:not([data-exact])")) {
      const passed = (Date.now() - Date.parse(time.dateTime)) / 1000;
      const [size, unit] = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]].find(([size]) => passed >= size) || [];
      if (Number.isFinite(passed)) time.textContent = size ? `${Math.floor(passed / size)} ${unit} ago` : "now";
    }
  };
  setInterval(age, 5 * LIVE_MS);

  // Times as the reader's own clock shows them.
  const two = (number) => String(number).padStart(2, "0");
  const here = (date) => {
    const zone = -date.getTimezoneOffset();
    const offset = `${zone < 0 ? "-" : "+"}${two(Math.floor(Math.abs(zone) / 60))}:${two(Math.abs(zone) % 60)}`;
    return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} `
      + `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())} ${offset}`;
  };
  const localise = () => {
    for (const time of document.querySelectorAll("time")) {
      const date = new Date(time.dateTime);
      if (Number.isNaN(date.getTime())) continue;
      if ("exact" in time.dataset) time.textContent = here(date);
      else time.title = here(date);
    }
    for (const text of document.querySelectorAll("[data-clock]")) {
      const date = new Date(text.dataset.clock * 1000);
      text.textContent = text.dataset.days ? here(date).slice(5, 16) : here(date).slice(11, 16);
    }
  };
  localise();

  // Back is the list as it was left: its search, its filters, the chosen issue.
  const back = document.querySelector("a[data-back]");
  const onList = document.body.classList.contains("list") && Boolean(document.getElementById("bulk") || document.querySelector(".filters"));
  if (onList) sessionStorage.setItem("list", location.pathname + location.search.replace("?find", ""));
  else if (back && back.closest(".crumb")) back.href = sessionStorage.getItem("list") || back.href;
  const left = sessionStorage.getItem("left");
  sessionStorage.removeItem("left");
  if (left) choose(document.querySelector(`.issue[data-id="${CSS.escape(left)}"]`));
  addEventListener("pagehide", () => {
    if (onList) sessionStorage.setItem("kept", chosen() ? chosen().dataset.id : "");
  });

  // Filters apply at once.
  for (const select of document.querySelectorAll(".pick select")) {
    select.addEventListener("change", () => select.form.submit());
  }

  // Copy: the link's text goes to the clipboard; without a clipboard the link is simply followed.
  document.addEventListener("click", async (event) => {
    const link = event.target.closest("a[data-copy]");
    if (!link || !navigator.clipboard || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    try {
      const answer = await fetch(link.href);
      if (!answer.ok) throw new Error(answer.statusText); // deleted meanwhile: that page says so
      await navigator.clipboard.writeText(await answer.text());
      say(link.textContent.replace("Copy", "Copied"));
    } catch (error) {
      location.href = link.href;
    }
  });

  // Everything of a card unfolded, or as it was: without this file the link asks the server for it.
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-expand]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const folds = [...link.closest(".card").querySelectorAll("details")];
    const unfold = link.textContent === "Expand all";
    for (const fold of folds) {
      if (unfold) { fold.dataset.was = fold.open ? "open" : ""; fold.open = true; }
      else fold.open = fold.dataset.was === "open" || (fold.dataset.was === undefined && fold.matches(".frame.app"));
    }
    link.textContent = unfold ? "Fold" : "Expand all";
  });

  // Keys.
  const step = (by) => {
    const rows = [...document.querySelectorAll(".issue")];
    if (!rows.length) return;
    const at = rows.indexOf(chosen());
    choose(rows[Math.max(0, Math.min(rows.length - 1, at < 0 ? 0 : at + by))]);
  };

  // What the search understands: closed again by Esc, or a click elsewhere.
  const words = document.querySelector(".words");
  document.addEventListener("click", (event) => { if (words && !words.contains(event.target)) words.open = false; });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const typing = event.target.closest("input:not([type=checkbox]), select, textarea");
    if (event.key === "Escape") {
      if (words && words.open) { words.open = false; words.querySelector("summary").focus(); }
      else if (typing) typing.blur();
      else if (chosen()) { chosen().classList.remove("chosen"); document.getElementById("main").focus(); }
      else {
        if (back) {
          sessionStorage.setItem("left", sessionStorage.getItem("kept") || "");
          location.href = back.href;
        }
        else if (location.search) location.href = "/";
      }
      return;
    }
    if (typing) return;
    if (event.key === "/") {
      const box = document.getElementById("q");
      event.preventDefault();
      if (box) { box.focus(); box.select(); } else location.href = "/?find";
    } else if (event.key === "j" || event.key === "k") {
      const near = document.querySelector(`a[data-key="${event.key}"]`);
      if (document.querySelector(".issue")) step(event.key === "j" ? 1 : -1);
      else if (near) location.href = near.href;
    } else if (event.key === "x" && chosen() && chosen().querySelector(".pickone")) {
      const box = chosen().querySelector(".pickone");
      box.checked = !box.checked;
      count();
    } else if ({ r: 1, m: 1, o: 1 }[event.key]) {
      setState({ r: "resolved", m: "muted", o: "open" }[event.key]);
    } else if (event.key === "Enter" && chosen() && event.target.tagName !== "A") {
      location.href = chosen().querySelector(".title").href;
    }
  });

  if (new URLSearchParams(location.search).has("find")) {
    const box = document.getElementById("q");
    if (box) box.focus();
  }
})();
