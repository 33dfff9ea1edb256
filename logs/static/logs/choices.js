// The values beside the rows: with Alt a click asks for all but this one.
const choices = document.getElementById("choices");
const wide = window.matchMedia("(min-width: 1001px)");

if (choices) {
  // On a wide window the style shows them anyway; then readers of the screen must be told so.
  const match = () => { choices.open = wide.matches; };
  match();
  wide.addEventListener("change", match);
  choices.querySelector("summary").tabIndex = wide.matches ? -1 : 0;
  choices.addEventListener("click", (event) => {
    const but = event.altKey && event.target.closest("a.with")?.parentElement.querySelector("a.but");
    if (!but) return;
    event.preventDefault();
    location.assign(but.href);
  });
}
