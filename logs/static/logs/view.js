// How the rows are shown: which columns, wrapped or not, how dense. Remembered by the browser, set before the page is painted.
const VIEW_KEY = "herald.view";

function readView() {
  try {
    const kept = JSON.parse(localStorage.getItem(VIEW_KEY) ?? "{}");
    return { without: Array.isArray(kept.without) ? kept.without.map(String) : [], wrap: kept.wrap === true, roomy: kept.roomy === true };
  } catch {
    return { without: [], wrap: false, roomy: false };
  }
}

function applyView(view) {
  const root = document.documentElement;
  root.dataset.without = view.without.join(" ");
  root.toggleAttribute("data-wrap", view.wrap);
  root.toggleAttribute("data-roomy", view.roomy);
}

applyView(readView());
document.addEventListener("DOMContentLoaded", () => {
  const controls = document.getElementById("view");
  if (!controls) return;
  const view = readView();
  const columns = [...controls.querySelectorAll("[data-column]")];
  for (const box of columns) box.checked = !view.without.includes(box.dataset.column);
  controls.querySelector("[name=wrap]").checked = view.wrap;
  controls.querySelector("[name=roomy]").checked = view.roomy;
  controls.addEventListener("change", () => {
    const chosen = {
      without: columns.filter((box) => !box.checked).map((box) => box.dataset.column),
      wrap: controls.querySelector("[name=wrap]").checked,
      roomy: controls.querySelector("[name=roomy]").checked,
    };
    localStorage.setItem(VIEW_KEY, JSON.stringify(chosen));
    applyView(chosen);
  });
});
