// What a script makes nicer. Every page works without it.
"use strict";

const $$ = (selector, root = document) => root.querySelectorAll(selector);

// Times in the visitor's own zone.
function localTimes(root) {
  const format = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "medium", timeStyle: "medium" });
  for (const time of $$("time[datetime]", root)) {
    const at = new Date(time.dateTime);
    if (!time.title && !Number.isNaN(at.getTime())) {
      time.title = time.textContent;
      time.textContent = format.format(at);
    }
  }
}

// A page that says data-refresh shows what is new, unless somebody is busy on it.
async function refresh(main) {
  const busy = document.hidden || main.contains(document.activeElement) || main.querySelector(":popover-open, dialog[open], details[open]");
  if (busy) return;
  const answer = await fetch(location.href, { headers: { accept: "text/html" } }).catch(() => null);
  if (!answer || !answer.ok) return main.classList.add("stale");
  if (answer.redirected) return location.reload();
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  const next = fresh.getElementById("main");
  if (!next) return;
  main.classList.remove("stale");
  main.replaceChildren(...next.childNodes);
  document.title = fresh.title;
  localTimes(main);
}

const main = document.getElementById("main");
localTimes(document);
if (main.dataset.refresh) setInterval(() => refresh(main), main.dataset.refresh * 1000);

// A second click sends nothing more; a button that destroys asks first.
document.addEventListener("submit", (event) => {
  const form = event.target;
  const question = event.submitter?.dataset.confirm ?? form.dataset.confirm;
  if (form.dataset.sent || (question && !confirm(question))) return event.preventDefault();
  form.dataset.sent = "yes";
  form.setAttribute("aria-busy", "true");
});
// Back from where the form led to.
addEventListener("pageshow", () => $$("form[data-sent]").forEach((form) => {
  delete form.dataset.sent;
  form.removeAttribute("aria-busy");
}));

// Filters and sorting take effect at once.
document.addEventListener("change", (event) => {
  if (event.target.closest("form[data-auto]")) event.target.form.requestSubmit();
});

// Copies what the button names.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const from = document.getElementById(button.dataset.copy);
  await navigator.clipboard.writeText(from.value ?? from.textContent).then(() => button.classList.add("copied"), () => {});
});
