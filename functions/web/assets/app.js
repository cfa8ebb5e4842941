// What a script makes nicer. Every page works without it.
"use strict";

const $$ = (selector, root = document) => root.querySelectorAll(selector);

const main = document.getElementById("main");
const live = document.getElementById("live");

// Says something, once, also to who does not see it.
function say(text, milliseconds) {
  live.textContent = text;
  if (milliseconds) setTimeout(() => live.textContent === text && live.replaceChildren(), milliseconds);
}

const keyOf = (node) => node.id || node.dataset?.key;

// Makes `old` what `next` is, and touches nothing that is the same: focus, selection and what is typed stay.
function patch(old, next) {
  if (old.isEqualNode(next)) return;
  if (old.nodeName !== next.nodeName || keyOf(old) !== keyOf(next)) return old.replaceWith(next);
  if (!(old instanceof Element)) return void (old.data = next.data);
  for (const { name } of [...old.attributes]) if (name !== "open" && !next.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of next.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  const wanted = new Set([...next.children].map(keyOf));
  const keyed = new Map();
  for (const child of [...old.children]) {
    const key = keyOf(child);
    if (key && wanted.has(key)) keyed.set(key, child);
    else if (key && !("keep" in child.dataset)) child.remove();
  }
  // The nodes that no key holds, in their order.
  const free = [...old.childNodes].filter((node) => !keyOf(node));
  let at = old.firstChild;
  for (const child of [...next.childNodes]) {
    while (at && "keep" in (at.dataset ?? {}) && !wanted.has(keyOf(at))) at = at.nextSibling;
    const alike = free.findIndex((node) => node.nodeName === child.nodeName);
    const same = keyOf(child) ? keyed.get(keyOf(child)) : alike < 0 ? null : free.splice(alike, 1)[0];
    if (!same) {
      old.insertBefore(child, at);
      continue;
    }
    if (same === at) at = at.nextSibling;
    else old.insertBefore(same, at);
    patch(same, child);
  }
  for (const node of free) node.remove();
}

// Takes over a page that was asked for.
function take(html) {
  const fresh = new DOMParser().parseFromString(html, "text/html");
  const next = fresh.getElementById("main");
  if (!next) return false;
  const focused = document.activeElement;
  patch(main, next);
  for (const part of [".bottom", "link[rel=icon]"]) patch(document.querySelector(part), fresh.querySelector(part));
  document.title = fresh.title;
  if (focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
  return true;
}

const time = () => new Date().toLocaleTimeString(document.documentElement.lang, { timeZone: main.dataset.zone, hourCycle: "h23", timeStyle: "medium" });
let updated = time();

// Shows what is new.
async function refresh() {
  const headers = { accept: "text/html", "x-pongpong-refresh": "1" };
  const answer = await fetch(location.href, { headers, signal: AbortSignal.timeout(20000) }).catch(() => null);
  if (answer?.redirected) return location.reload();
  const html = answer?.ok ? await answer.text().catch(() => "") : "";
  if (!take(html)) return say(live.dataset.lost.replace("{time}", updated));
  updated = time();
  say("");
}

// A page that says data-refresh shows what is new, while somebody may see it.
if (main.dataset.refresh) {
  const look = () => document.hidden || refresh();
  setInterval(look, main.dataset.refresh * 1000);
  document.addEventListener("visibilitychange", look);
  addEventListener("online", look);
}

// Pages are written in the zone that this cookie names.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const kept = `pongpong_zone=${zone}`;
if (zone && !document.cookie.split("; ").includes(kept)) {
  document.cookie = `${kept}; Path=/; Max-Age=31536000; SameSite=Lax${location.protocol === "https:" ? "; Secure" : ""}`;
  if (main.dataset.zone !== zone && "get" in main.dataset && document.querySelector(".zone")) refresh();
}

// A second click sends nothing more; a button that destroys asks first.
document.addEventListener("submit", (event) => {
  const form = event.target;
  const question = event.submitter?.dataset.confirm ?? form.dataset.confirm;
  if (form.dataset.sent || (question && !confirm(question))) return event.preventDefault();
  form.dataset.sent = "yes";
  form.setAttribute("aria-busy", "true");
  // What changes nothing is shown in this page: loading it again sends nothing.
  if (event.submitter && "inline" in event.submitter.dataset) {
    event.preventDefault();
    sendInline(form, event.submitter);
  }
});
async function sendInline(form, button) {
  const body = new URLSearchParams(new FormData(form, button));
  const answer = await fetch(button.formAction, { method: "POST", body }).catch(() => null);
  const isShown = answer && !answer.redirected && take(await answer.text().catch(() => ""));
  delete form.dataset.sent;
  form.removeAttribute("aria-busy");
  if (!isShown) return say(live.dataset.failed, 10000);
  const result = document.getElementById("result") ?? main.querySelector("[role=alert]");
  result?.setAttribute("tabindex", "-1");
  result?.focus();
}
// Back from where the form led to.
addEventListener("pageshow", () => $$("form[data-sent]").forEach((form) => {
  delete form.dataset.sent;
  form.removeAttribute("aria-busy");
}));

// Filters and sorting take effect at once.
document.addEventListener("change", (event) => {
  if (event.target.closest("form[data-auto]")) event.target.form.requestSubmit();
});

// Copies what the button names. Without TLS there is no clipboard: then by a selection.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const from = document.getElementById(button.dataset.copy);
  const text = from.value ?? from.textContent;
  let copied = await navigator.clipboard?.writeText(text).then(() => true, () => false);
  if (!copied) {
    const field = document.createElement("textarea");
    field.value = text;
    field.className = "sr";
    button.after(field);
    field.select();
    copied = document.execCommand("copy");
    field.remove();
    button.focus();
  }
  if (!copied) return say(live.dataset.failed, 10000);
  button.classList.add("copied");
  say(live.dataset.copied, 4000);
});

// Rows of a form come and go without asking the server; it does the same without a script.
document.addEventListener("click", (event) => {
  const add = event.target.closest("[data-add-row]");
  const remove = event.target.closest("[data-remove-row]");
  if (!add && !remove) return;
  const rows = add ? add.parentElement.querySelector("[data-rows]") : remove.closest("[data-rows]");
  const fields = (row) => $$("input, select", row);
  event.preventDefault();
  if (add || rows.children.length === 1) {
    const row = rows.lastElementChild.cloneNode(true);
    for (const error of $$(".error", row)) error.remove();
    for (const field of fields(row)) {
      field.removeAttribute("aria-invalid");
      delete field.dataset.chosen;
      if (field.tagName === "SELECT") field.selectedIndex = 0;
      else field.value = "";
    }
    rows.append(row);
  }
  if (remove) remove.closest("[data-row]").remove();
  fields(rows.lastElementChild)[0].focus();
});

// What is asked of a fact most, until another comparison is chosen.
document.addEventListener("change", (event) => {
  if (event.target.closest(".comparison")) event.target.dataset.chosen = "yes";
  const fact = event.target.closest(".looks-at");
  if (!fact) return;
  const comparison = $$(".comparison", fact.parentElement)[0];
  if (!comparison.dataset.chosen) comparison.value = fact.selectedOptions[0].dataset.usual || "equals";
});

// A list to choose from shows what is searched for; the search is then no part of the form.
for (const input of $$("input[data-filter]")) {
  input.removeAttribute("name");
  input.parentElement.querySelector("button").hidden = true;
  input.addEventListener("input", () => {
    const wanted = input.value.trim().toLowerCase();
    for (const item of $$(".choose li", input.form)) item.hidden = !item.textContent.toLowerCase().includes(wanted);
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter") event.preventDefault();
  });
}

// One place up in a list, without asking the server.
document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-up]");
  const item = button?.closest("li");
  if (!item?.previousElementSibling) return;
  event.preventDefault();
  item.previousElementSibling.before(item);
  button.focus();
});
