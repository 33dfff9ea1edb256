// Light, dark, or as the system has it: kept under the name the admin uses too, and set before the page is painted.
const THEMES = { auto: "◐ Auto", light: "☀ Light", dark: "☾ Dark" };

function chosen() {
  const kept = localStorage.getItem("theme");
  return kept in THEMES ? kept : "auto";
}

function apply() {
  document.documentElement.dataset.theme = chosen();
  const button = document.getElementById("theme");
  if (button) {
    button.hidden = false;
    button.textContent = THEMES[chosen()];
    button.title = "Colours: automatic, light, dark";
  }
}

apply();
document.addEventListener("DOMContentLoaded", () => {
  apply();
  document.getElementById("theme")?.addEventListener("click", () => {
    const names = Object.keys(THEMES);
    localStorage.setItem("theme", names[(names.indexOf(chosen()) + 1) % names.length]);
    apply();
  });
});
