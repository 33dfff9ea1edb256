// Moments as people read them: local, with milliseconds; the title keeps UTC and both clocks.
const pad = (number, width = 2) => String(number).padStart(width, "0");

const clock = (at) => `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}.${pad(at.getMilliseconds(), 3)}`;

const day = (at) => `${pad(at.getMonth() + 1)}-${pad(at.getDate())}`;

export function zone() {
  const parts = new Intl.DateTimeFormat(undefined, { timeZoneName: "short" }).formatToParts(new Date());
  return parts.find((part) => part.type === "timeZoneName")?.value ?? "local";
}

export function short(at, now = new Date()) {
  return at.toDateString() === now.toDateString() ? clock(at) : `${day(at)} ${clock(at)}`;
}

export function long(at) {
  return `${at.getFullYear()}-${day(at)} ${clock(at)}`;
}

// Write what a <time> element's datetime says in local time.
export function localise(element) {
  const at = new Date(element.getAttribute("datetime"));
  if (Number.isNaN(at.getTime())) return;
  if ("ago" in element.dataset) {
    element.title = `${long(at)} ${zone()}`;
    return;
  }
  if ("long" in element.dataset) {
    element.title = element.getAttribute("datetime");
    element.textContent = element.dataset.long === "minutes" ? long(at).slice(0, 16) : `${long(at)} ${zone()}`;
    return;
  }
  element.textContent = short(at);
  const received = element.dataset.received;
  const delay = new Date(received) - at;
  const minute = 60_000;
  element.title = Math.abs(delay) < minute
    ? `${element.getAttribute("datetime")} (UTC)`
    : `sender's clock ${element.getAttribute("datetime")}, received ${received} (UTC)`;
}

export function ago(milliseconds) {
  const seconds = Math.round(milliseconds / 1000);
  if (seconds < 60) return `${seconds} s`;
  return seconds < 3600 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3600)} h`;
}
