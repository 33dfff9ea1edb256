// The bars above the rows: dragging over them leads into the time they stand for.
import { short } from "./times.js";

const bars = document.querySelector("svg.bars");
const LEAST = 4;

if (bars) {
  const number = Number(bars.dataset.bars);
  const start = new Date(bars.dataset.start).getTime();
  const width = Number(bars.dataset.seconds) * 1000;
  const mark = bars.querySelector(".drag");
  const place = (event) => {
    const box = bars.getBoundingClientRect();
    return Math.min(Math.max(Math.floor(((event.clientX - box.left) / box.width) * number), 0), number - 1);
  };
  let from = null;
  let dragged = false;

  const clear = () => {
    from = null;
    mark.setAttribute("width", 0);
  };

  // The titles say the time in UTC, as a page without this script must.
  bars.querySelectorAll("title").forEach((title) => {
    const [moment, ...rest] = title.textContent.split(", ");
    title.textContent = [short(new Date(moment)).slice(0, -4), ...rest].join(", ");
  });

  bars.addEventListener("dragstart", (event) => event.preventDefault());
  bars.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey) return;
    from = { bar: place(event), x: event.clientX };
    dragged = false;
  });
  window.addEventListener("pointermove", (event) => {
    if (!from) return;
    dragged ||= Math.abs(event.clientX - from.x) >= LEAST;
    if (!dragged) return;
    const to = place(event);
    mark.setAttribute("x", Math.min(from.bar, to));
    mark.setAttribute("width", Math.abs(to - from.bar) + 1);
  });
  window.addEventListener("pointercancel", clear);
  window.addEventListener("keydown", (event) => event.key === "Escape" && from && clear());
  window.addEventListener("pointerup", (event) => {
    if (!from || !dragged) return clear();
    const ends = [from.bar, place(event)].sort((one, other) => one - other);
    const address = new URLSearchParams(document.getElementById("live").dataset.filter);
    address.delete("last");
    address.set("since", new Date(start + ends[0] * width).toISOString());
    address.set("until", new Date(start + (ends[1] + 1) * width).toISOString());
    location.assign(`?${address}`);
  });
  // A drag ends with a click on the bar under the pointer, which would lead elsewhere.
  bars.addEventListener("click", (event) => {
    if (dragged) event.preventDefault();
    dragged = false;
  }, true);
}
