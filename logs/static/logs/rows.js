// Rows in the document: made from the template the server renders its own rows with, filled with text alone.
import { localise } from "./times.js";

export const ROWS_MAX = 1000;
const SEEN_MAX = 20_000;
const CODES = /(⟦U\+[0-9A-F]{4,6}⟧)/;

// Put text into an element; codes that stand for invisible characters are set apart.
export function write(element, text) {
  const parts = String(text).split(CODES);
  if (parts.length === 1) {
    element.textContent = parts[0];
    return;
  }
  element.replaceChildren(...parts.map((part, at) => {
    if (at % 2 === 0) return document.createTextNode(part);
    const code = document.createElement("span");
    code.className = "code";
    code.textContent = part;
    return code;
  }));
}

function makeRow(line) {
  const row = document.getElementById("row-template").content.firstElementChild.cloneNode(true);
  row.className = `row ${line.severity} new`;
  row.dataset.id = line.id;
  for (const element of row.querySelectorAll("[data-field]")) {
    if (element.dataset.field !== "created") write(element, line[element.dataset.field] ?? "");
  }
  const time = row.querySelector("time");
  time.setAttribute("datetime", line.created);
  time.dataset.received = line.received;
  localise(time);
  row.querySelector(".whole").href = `/log/${line.id}`;
  row.querySelector(".around").href = `/log/${line.id}#here`;
  return row;
}

export class Rows {
  constructor(list) {
    this.list = list;
    this.seen = new Set([...list.querySelectorAll("[data-id]")].map((row) => Number(row.dataset.id)));
  }

  // Return those lines that were never here, and remember them.
  fresh(lines) {
    const fresh = lines.filter((line) => !this.seen.has(line.id));
    for (const line of fresh) this.seen.add(line.id);
    if (this.seen.size > SEEN_MAX) {
      const old = [...this.seen].slice(0, this.seen.size - SEEN_MAX / 2);
      for (const id of old) this.seen.delete(id);
    }
    return fresh;
  }

  // Show lines (in order of arrival), the highest id on top. Most come in order; the few that do not find their place.
  add(lines) {
    const batch = document.createDocumentFragment();
    const top = Number(this.list.querySelector("[data-id]")?.dataset.id ?? 0);
    const stragglers = [];
    for (const line of [...lines].sort((one, other) => other.id - one.id)) {
      if (line.id > top) batch.append(makeRow(line));
      else stragglers.push(line);
    }
    this.list.prepend(batch);
    for (const line of stragglers) this.insert(line);
    this.trim();
  }

  insert(line) {
    for (const row of this.list.querySelectorAll("[data-id]")) {
      if (Number(row.dataset.id) < line.id) {
        row.before(makeRow(line));
        return;
      }
    }
    this.list.append(makeRow(line));
  }

  // Say in a row of its own that rows are missing here, and where they are.
  addSkipped(sentence, href) {
    const row = document.getElementById("skipped-template").content.firstElementChild.cloneNode(true);
    row.querySelector("span").textContent = sentence;
    row.querySelector("a").href = href;
    this.list.prepend(row);
  }

  trim() {
    while (this.list.children.length > ROWS_MAX) this.list.lastElementChild.remove();
  }

  get last() {
    return this.list.querySelector("[data-id]:last-child");
  }
}
