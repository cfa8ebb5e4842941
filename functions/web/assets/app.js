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
      if (field.tagName === "SELECT") field.selectedIndex = 0;
      else field.value = "";
    }
    rows.append(row);
  }
  if (remove) remove.closest("[data-row]").remove();
  fields(rows.lastElementChild)[0].focus();
});

// What a chart says where the pointer is, in the visitor's own time.
document.addEventListener("pointerover", (event) => {
  const title = event.target.closest?.("rect")?.querySelector("title");
  const span = title?.textContent.match(/^(\d{4}-\d\d-\d\d) (\d\d:\d\d)–(\d\d:\d\d) UTC/);
  if (!span) return;
  const [all, day, from, to] = span;
  const language = document.documentElement.lang;
  const start = new Date(`${day}T${from}Z`), end = new Date(`${day}T${to}Z`);
  const text = start.toLocaleString(language, { dateStyle: "medium", timeStyle: "short" }) + "–" + end.toLocaleTimeString(language, { timeStyle: "short" });
  title.textContent = text + title.textContent.slice(all.length);
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

// A moment is entered in the visitor's own zone, which goes along with it.
for (const input of $$("input[data-moment]")) {
  input.previousElementSibling.querySelector(".zone").textContent = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const at = new Date(`${input.value}Z`);
  if (Number.isNaN(at.getTime())) continue;
  input.value = new Date(at.getTime() - at.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
}
document.addEventListener("formdata", (event) => {
  for (const input of $$("input[data-moment]", event.target)) {
    if (input.value) event.formData.set(`${input.name}_offset`, -new Date(input.value).getTimezoneOffset());
  }
});
