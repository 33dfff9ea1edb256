// The log page: times, details, keyboard, and new rows as they come.
import { open as openDetails } from "./details.js";
import { Connection } from "./live.js";
import { Rows, ROWS_MAX } from "./rows.js";
import { ago, localise, zone } from "./times.js";
import "./choices.js";
import "./complete.js";
import "./volume.js";

const RATE_OVER = 10;
const byId = (id) => document.getElementById(id);
const list = byId("rows");
const numbers = new Intl.NumberFormat("en");

document.querySelectorAll("time").forEach(localise);
document.querySelectorAll(".columns .zone").forEach((element) => { element.textContent = zone(); });
document.querySelectorAll(".js-only:not(#theme)").forEach((element) => { element.hidden = false; });
// A row that disappears while times are local at midnight would lie: write the day once the day has changed.
setInterval(() => document.querySelectorAll(".row time").forEach(localise), 600_000);

document.addEventListener("click", async (event) => {
  const source = event.target.closest?.("[data-copy]");
  if (!source) return;
  await navigator.clipboard.writeText(byId(source.dataset.copy).textContent);
  source.textContent = "Copied";
});

// A value is copied as it is shown, with the codes of what cannot be seen.
document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("button.copy");
  if (!button) return;
  const value = button.closest(".value, dd").querySelector("[data-value]");
  await navigator.clipboard.writeText(value.textContent);
  button.textContent = "copied";
  setTimeout(() => { button.textContent = "copy"; }, 1_500);
});

byId("share-copy")?.addEventListener("click", async (event) => {
  await navigator.clipboard.writeText(byId("share").href);
  event.target.textContent = "Copied";
});

// A quick range and a time from and to exclude each other: the last choice holds.
byId("last")?.addEventListener("change", (event) => {
  if (event.target.value) document.querySelectorAll("[data-moment]").forEach((field) => { field.value = ""; });
});
document.querySelectorAll("[data-moment]").forEach((field) => field.addEventListener("input", () => { byId("last").value = ""; }));

// The form sends local times with their zone, and leaves out what is empty.
byId("filter")?.addEventListener("formdata", (event) => {
  for (const [name, value] of [...event.formData]) {
    if (!value) event.formData.delete(name);
    const field = event.target.elements[name];
    if (value && "moment" in (field?.dataset ?? {}) && /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?$/.test(value) && field.dataset.local) {
      event.formData.set(name, new Date(value).toISOString());
    }
  }
});
for (const field of document.querySelectorAll("[data-moment]")) {
  const given = field.value ? new Date(field.value.includes("Z") || field.value.includes("+") ? field.value : `${field.value}Z`) : null;
  field.value = ""; // what a field of this type cannot hold, the browser complains about
  field.type = "datetime-local";
  field.step = 1;
  field.dataset.local = "yes";
  if (given && !Number.isNaN(given.getTime())) {
    field.value = new Date(given.getTime() - given.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
  }
  field.closest("label").querySelector(".zone").textContent = zone();
}

// --- Rows that are open, and the keyboard ---------------------------------------------------------------------

list?.addEventListener("toggle", (event) => {
  if (event.target.open && event.target.matches(".row > details")) openDetails(event.target.closest(".row"));
  view?.look();
}, true);

const summaries = () => [...list.querySelectorAll(".row > details > summary")];

function step(by) {
  const all = summaries();
  const at = all.indexOf(document.activeElement?.closest?.("summary"));
  const next = all[at < 0 ? 0 : Math.min(Math.max(at + by, 0), all.length - 1)];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

function toWhere() {
  document.activeElement?.blur();
  for (const details of list.querySelectorAll(".row > details[open]")) details.open = false;
  window.scrollTo(0, 0);
  view?.look();
}

// Most often a query is narrowed down: the caret goes behind it, ready for the next word.
function toQuery() {
  const box = byId("query");
  if (!box) return;
  if (box.value && !box.value.endsWith(" ")) box.value += " ";
  box.focus();
  box.setSelectionRange(box.value.length, box.value.length);
}

const KEYS = {
  "/": toQuery,
  j: () => step(1),
  k: () => step(-1),
  o: () => document.activeElement?.closest?.(".row")?.querySelector("a.around").click(),
  l: () => view?.toggle(),
  "?": () => byId("help")?.showModal(),
  Escape: toWhere,
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || byId("help")?.open || !list) return;
  const typing = event.target.closest?.("input, select, textarea");
  if (typing && event.key === "Escape") typing.blur();
  if (typing || !(event.key in KEYS)) return;
  event.preventDefault();
  KEYS[event.key]();
});
byId("help-open")?.addEventListener("click", () => byId("help").showModal());

// --- New rows -------------------------------------------------------------------------------------------------

class View {
  constructor(box) {
    this.box = box;
    this.rows = new Rows(list);
    this.pending = [];
    this.missed = 0;
    this.paused = false;
    this.recent = [];
    this.scheduled = false;
    this.title = document.title;
    byId("live-toggle").addEventListener("click", () => this.toggle());
    byId("pill").addEventListener("click", () => { this.paused = false; toWhere(); });
    window.addEventListener("scroll", () => this.look(), { passive: true });
    list.addEventListener("focusin", () => this.look());
    list.addEventListener("focusout", () => setTimeout(() => this.look()));
    setInterval(() => this.showRate(), 1_000);
    this.connection = new Connection({
      filter: box.dataset.filter,
      position: box.dataset.position,
      on: {
        rows: (lines) => this.take(lines),
        skipped: (count, before) => this.skip(count, before),
        state: (name, sentence) => this.state(name, sentence),
      },
    });
  }

  // Whoever reads is not disturbed: nothing moves while a row is open or in focus, or the top is out of sight.
  get held() {
    return this.paused || window.scrollY > 40 || list.querySelector("details[open]") !== null || list.contains(document.activeElement);
  }

  take(lines) {
    const fresh = this.rows.fresh(lines);
    this.recent.push([Date.now(), fresh.length]);
    this.pending.push(...fresh);
    if (this.pending.length > ROWS_MAX) {
      this.missed += this.pending.length - ROWS_MAX;
      this.pending.splice(0, this.pending.length - ROWS_MAX);
    }
    this.schedule();
  }

  skip(count, before) {
    this.flush();
    const sentence = count === null ? "More rows arrived than can be shown here." : `${numbers.format(count)} rows skipped: this page could not keep up.`;
    this.rows.addSkipped(sentence, this.link(before));
  }

  link(before) {
    const query = new URLSearchParams(this.box.dataset.filter);
    if (before) query.set("before", before);
    return `?${query}`;
  }

  // One change of the document per frame; a hidden page has no frames.
  schedule() {
    if (this.scheduled) return;
    this.scheduled = true;
    const draw = () => {
      this.scheduled = false;
      this.look();
    };
    if (document.hidden) setTimeout(draw, 250);
    else requestAnimationFrame(draw);
  }

  look() {
    if (!this.held) this.flush();
    const waiting = this.pending.length + this.missed;
    byId("pill").hidden = waiting === 0;
    byId("pill").textContent = `${numbers.format(waiting)} new`;
    document.title = waiting ? `(${numbers.format(waiting)}) ${this.title}` : this.title;
    if (this.name === "live") this.state("live", "Live");
  }

  flush() {
    if (this.pending.length === 0) return;
    byId("empty")?.remove();
    if (this.missed) {
      this.rows.addSkipped(`${numbers.format(this.missed)} rows skipped while the page was held.`, this.link(this.pending[0].id));
      this.missed = 0;
    }
    this.rows.add(this.pending);
    this.pending = [];
    this.mendOlder();
  }

  // What was cut off at the bottom must be found behind the link to older rows.
  mendOlder() {
    if (list.children.length < ROWS_MAX || !this.rows.last) return;
    const older = byId("older");
    if (older) older.href = this.link(this.rows.last.dataset.id);
  }

  toggle() {
    this.paused = !this.paused;
    byId("live-toggle").textContent = this.paused ? "Resume" : "Pause";
    byId("live-toggle").setAttribute("aria-pressed", String(this.paused));
    if (!this.paused) toWhere();
    this.look();
  }

  state(name, sentence) {
    this.name = name;
    const lost = this.connection?.lostAt;
    const shown = {
      live: () => [this.held ? "held" : "live", this.paused ? "Paused" : this.held ? "Held while you read" : "Live"],
      lost: () => ["broken", `Connection lost${lost ? ` ${ago(Date.now() - lost)} ago` : ""}, trying again`],
      out: () => ["broken", "Logged out. Log in again to go on."],
      broken: () => ["broken", sentence],
    }[name]();
    this.box.dataset.state = shown[0];
    if (byId("live-state").textContent !== shown[1]) byId("live-state").textContent = shown[1];
    if (name === "out") this.offerLogin();
  }

  offerLogin() {
    const link = document.createElement("a");
    link.href = `${this.box.dataset.login}?next=${encodeURIComponent(location.pathname + location.search)}`;
    link.textContent = "Log in";
    byId("live-state").append(" ", link);
  }

  showRate() {
    const since = Date.now() - RATE_OVER * 1000;
    this.recent = this.recent.filter(([at]) => at > since);
    const rate = this.recent.reduce((sum, [, rows]) => sum + rows, 0) / RATE_OVER;
    const shown = rate >= 10 ? numbers.format(Math.round(rate)) : rate.toFixed(1);
    byId("live-rate").textContent = this.name === "live" ? (rate ? `${shown} rows/s` : "no new rows") : "";
  }
}

const box = byId("live");
const view = box?.dataset.live === "yes" ? new View(box) : null;
