// The query box offers fields, values that were seen, and what was asked before: a combobox with a list.
import { write } from "./rows.js";

const form = document.getElementById("filter");
const box = document.getElementById("query");
const list = document.getElementById("offers");
const WAIT = 120;
const KEPT_MAX = 20;
const OFFERED_MAX = 20;
// What stands before the caret: the beginning of a field's name, or a field with the beginning of a value.
const NAME = /(?:^|[\s(])[-+!]?([A-Za-z_][\w.]*)$/;
const VALUE = /(?:^|[\s(])[-+!]?([A-Za-z_][\w.]*):(?:[<>]=?)?(?:"([^"]*)|([^\s()"]*))$/;
const PLAIN = /^[\w.-]+$/;

const key = `herald.queries.${form?.dataset.person}`;

function kept() {
  try {
    const found = JSON.parse(localStorage.getItem(key) ?? "[]");
    return Array.isArray(found) ? found.filter((each) => typeof each === "string") : [];
  } catch {
    return [];
  }
}

function keep(query) {
  if (!query) return;
  const queries = [query, ...kept().filter((each) => each !== query)].slice(0, KEPT_MAX);
  localStorage.setItem(key, JSON.stringify(queries));
}

const quoted = (value) => (PLAIN.test(value) ? value : `"${value.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`);

class Offers {
  constructor() {
    this.offers = [];
    this.at = -1;
    this.turn = 0;
    this.fields = null;
    box.setAttribute("role", "combobox");
    box.setAttribute("aria-autocomplete", "list");
    box.setAttribute("aria-controls", list.id);
    box.setAttribute("aria-expanded", "false");
    box.addEventListener("input", () => this.soon());
    box.addEventListener("keydown", (event) => this.press(event));
    box.addEventListener("blur", () => this.close());
    // Before the box loses its focus.
    list.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      const item = event.target.closest("li");
      if (item) this.take([...list.children].indexOf(item));
    });
  }

  soon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.look(), WAIT);
  }

  async look() {
    const turn = ++this.turn;
    const offers = await this.find(box.value.slice(0, box.selectionStart));
    if (turn === this.turn && document.activeElement === box) this.show(offers.slice(0, OFFERED_MAX));
  }

  async find(text) {
    if (!text.trim()) return kept().map((query) => ({ text: query, help: "asked before", whole: true }));
    const value = VALUE.exec(text);
    if (value) {
      const typed = value[2] ?? value[3];
      const from = text.length - typed.length - (value[2] === undefined ? 0 : 1);
      const { values } = await this.ask({ field: value[1], prefix: typed });
      return values.map((each) => ({ text: each.shown, insert: `${quoted(each.value)} `, from }));
    }
    const name = NAME.exec(text);
    if (!name) return [];
    this.fields ??= (await this.ask({})).fields;
    const typed = name[1].toLowerCase();
    return (this.fields ?? [])
      .filter((field) => field.name.startsWith(typed))
      .map((field) => ({ text: `${field.name}:`, help: field.help, insert: `${field.name}:`, from: text.length - typed.length, on: true }));
  }

  // A box without offers is still a box: whatever fails here is not worth a word.
  async ask(parameters) {
    try {
      const answer = await fetch(`${form.dataset.complete}?${new URLSearchParams(parameters)}`);
      return answer.ok ? { values: [], ...(await answer.json()) } : { values: [] };
    } catch {
      return { values: [] };
    }
  }

  show(offers) {
    this.offers = offers;
    this.at = -1;
    list.replaceChildren(...offers.map((offer, at) => {
      const item = document.createElement("li");
      item.id = `offer-${at}`;
      item.setAttribute("role", "option");
      item.setAttribute("aria-selected", "false");
      const text = document.createElement("bdi");
      write(text, offer.text);
      item.append(text);
      if (offer.help) {
        const help = document.createElement("small");
        help.textContent = offer.help;
        item.append(" ", help);
      }
      return item;
    }));
    list.hidden = offers.length === 0;
    box.setAttribute("aria-expanded", String(!list.hidden));
    box.removeAttribute("aria-activedescendant");
  }

  close() {
    clearTimeout(this.timer);
    this.turn += 1;
    this.show([]);
  }

  choose(at) {
    list.children[this.at]?.setAttribute("aria-selected", "false");
    this.at = at;
    const item = list.children[at];
    item.setAttribute("aria-selected", "true");
    item.scrollIntoView({ block: "nearest" });
    box.setAttribute("aria-activedescendant", item.id);
  }

  take(at) {
    const offer = this.offers[at];
    if (offer.whole) {
      box.value = offer.text;
    } else {
      const behind = box.value.slice(box.selectionStart).replace(/^[^\s()]*/, "");
      box.value = box.value.slice(0, offer.from) + offer.insert + behind.trimStart();
      const caret = offer.from + offer.insert.length;
      box.setSelectionRange(caret, caret);
    }
    this.close();
    if (offer.on) this.look();
  }

  press(event) {
    if (event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    const open = !list.hidden;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!open) this.look();
      else this.choose((this.at + (event.key === "ArrowDown" ? 1 : -1) + this.offers.length) % this.offers.length);
    } else if (open && this.at >= 0 && (event.key === "Enter" || event.key === "Tab")) {
      event.preventDefault();
      this.take(this.at);
    } else if (open && event.key === "Escape") {
      event.preventDefault();
      event.stopPropagation();
      this.close();
    }
  }
}

if (box && list) {
  if (!document.getElementById("faults")) keep(box.value.trim());
  new Offers();
}
