// The page for trying GraphQL: without this script the form is sent as it is, and the browser shows the answer.
const form = document.getElementById("graph");
const answer = document.getElementById("answer");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  answer.textContent = "…";
  try {
    const response = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)) });
    answer.textContent = await response.text();
  } catch (error) {
    answer.textContent = `herald does not answer: ${error.message}`;
  }
});

form.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});
