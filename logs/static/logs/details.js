// The details of a row, fetched when it is opened for the first time.
import { localise } from "./times.js";
import { write } from "./rows.js";

const MOMENTS = new Set(["created", "received"]);

const make = (name) => document.getElementById(`${name}-template`).content.firstElementChild.cloneNode(true);

// The links that narrow what was asked for to this value, and that leave it out.
function addWays(element, value) {
  const ways = element.querySelector(".ways");
  for (const [name, address] of [["with", value.include], ["but", value.exclude]]) {
    const link = ways.querySelector(`.${name}`);
    // In a template a link has no address to set a part of.
    if (address) link.setAttribute("href", link.getAttribute("href") + address);
    else link.remove();
  }
  return ways;
}

function makeField(id, detail) {
  const field = make("field");
  field.classList.toggle("block", detail.block);
  field.dataset.name = detail.name;
  field.querySelector("dt").textContent = detail.label;
  const text = field.querySelector("bdi");
  write(text, detail.text);
  if (MOMENTS.has(detail.name)) addLocal(text, detail.text);
  const all = addWays(field, detail).querySelector(".all");
  if (detail.cut) all.href = `/log/${id}`;
  else all.remove();
  if (detail.pieces.length) text.replaceWith(makeTraceback(detail));
  if (detail.entries.length) text.replaceWith(makeEntries(detail));
  return field;
}

function makeTraceback(detail) {
  const traceback = make("traceback");
  write(traceback.querySelector("summary bdi"), detail.gist);
  traceback.querySelector(".pieces").append(...detail.pieces.map((piece) => {
    const part = document.createElement("span");
    part.className = piece.kind;
    write(part, piece.text);
    return part;
  }));
  return traceback;
}

function makeEntries(detail) {
  const tree = make("entries");
  tree.querySelector(".entries").append(...detail.entries.map(makeEntry));
  write(tree.querySelector(".raw bdi"), detail.text);
  return tree;
}

function makeEntry(entry) {
  const item = make("entry");
  write(item.querySelector(".key bdi"), entry.key);
  const value = item.querySelector(".value");
  if (entry.entries.length) {
    const within = document.createElement("ul");
    within.append(...entry.entries.map(makeEntry));
    value.replaceWith(within);
  } else {
    write(value.querySelector("bdi"), entry.text);
    addWays(value, entry);
  }
  return item;
}

function addLocal(element, text) {
  const time = document.createElement("time");
  time.dataset.long = "";
  time.setAttribute("datetime", text.split(" ")[0]);
  localise(time);
  element.replaceChildren(time, text.slice(text.split(" ")[0].length));
}

function makeStep(step) {
  const item = make("step");
  for (const element of item.querySelectorAll("[data-step]")) {
    const text = step[element.dataset.step] ?? "";
    if (element.localName !== "time") {
      write(element, text);
      continue;
    }
    element.setAttribute("datetime", text);
    element.textContent = text;
    localise(element);
  }
  return item;
}

function makePath(steps) {
  const field = make("path");
  field.querySelector("ol").append(...steps.map(makeStep));
  return field;
}

export async function open(row) {
  const detail = row.querySelector(".detail");
  if ("loaded" in detail.dataset) return;
  detail.dataset.loaded = "";
  const id = row.dataset.id;
  try {
    const answer = await fetch(`/log/${id}.json?${document.getElementById("live")?.dataset.filter ?? ""}`);
    if (!answer.ok) throw new Error(answer.status === 404 ? "herald no longer keeps it" : `herald answered ${answer.status}`);
    const fields = document.createElement("dl");
    fields.className = "fields";
    const told = await answer.json();
    fields.append(...told.details.map((each) => makeField(id, each)));
    if (told.path.length) fields.append(makePath(told.path));
    detail.querySelector(".problem")?.remove();
    detail.prepend(fields);
  } catch (error) {
    delete detail.dataset.loaded;
    const problem = detail.querySelector(".problem") ?? document.createElement("p");
    problem.className = "problem";
    problem.textContent = `The record could not be loaded: ${error.message}. Close and open the row to try again.`;
    detail.prepend(problem);
  }
}
