// The details of a row, fetched when it is opened for the first time.
import { localise } from "./times.js";
import { write } from "./rows.js";

const MOMENTS = new Set(["created", "received"]);

function makeField(id, detail) {
  const field = document.getElementById("field-template").content.firstElementChild.cloneNode(true);
  field.classList.toggle("block", detail.block);
  field.dataset.name = detail.name;
  field.querySelector("dt").textContent = detail.label;
  const text = field.querySelector("bdi");
  write(text, detail.text);
  if (MOMENTS.has(detail.name)) addLocal(text, detail.text);
  const same = field.querySelector(".same");
  if (detail.query) same.search = detail.query;
  else same.remove();
  const all = field.querySelector(".all");
  if (detail.cut) all.href = `/logs/${id}`;
  else all.remove();
  return field;
}

function addLocal(element, text) {
  const time = document.createElement("time");
  time.dataset.long = "";
  time.setAttribute("datetime", text.split(" ")[0]);
  localise(time);
  element.replaceChildren(time, text.slice(text.split(" ")[0].length));
}

function makeStep(step) {
  const item = document.getElementById("step-template").content.firstElementChild.cloneNode(true);
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
  const field = document.getElementById("path-template").content.firstElementChild.cloneNode(true);
  field.querySelector("ol").append(...steps.map(makeStep));
  return field;
}

export async function open(row) {
  const detail = row.querySelector(".detail");
  if ("loaded" in detail.dataset) return;
  detail.dataset.loaded = "";
  const id = row.dataset.id;
  try {
    const answer = await fetch(`/logs/${id}.json`);
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
