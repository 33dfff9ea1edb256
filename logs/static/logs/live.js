// The connection that brings new rows: keeps the position, acknowledges, comes back after a loss.
const SILENT_AFTER = 15_000;
const WAIT_MAX = 5_000;

export class Connection {
  // `on` has functions: rows(lines), skipped(count, before), state(name, sentence).
  constructor({ filter, position, on }) {
    this.filter = filter;
    this.position = position;
    this.on = on;
    this.wait = 500;
    this.lostAt = null;
    this.ended = false;
    setInterval(() => this.watch(), 1_000);
    window.addEventListener("pagehide", () => this.socket?.close());
    window.addEventListener("pageshow", (event) => event.persisted && this.open());
    this.open();
  }

  open() {
    const address = new URL("/ws/logs", location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    this.heardAt = Date.now();
    const socket = new WebSocket(address);
    this.socket = socket;
    socket.addEventListener("open", () => {
      socket.send(JSON.stringify({ type: "follow", filter: this.filter, position: this.position }));
    });
    socket.addEventListener("message", (event) => socket === this.socket && this.take(JSON.parse(event.data)));
    socket.addEventListener("close", (event) => socket === this.socket && this.lose(event.code));
  }

  take(message) {
    this.heardAt = Date.now();
    if (message.position) this.position = message.position;
    if (message.type === "following") {
      this.wait = 500;
      this.lostAt = null;
      this.on.state("live", "Live");
    } else if (message.type === "rows") {
      this.on.rows(message.rows);
    } else if (message.type === "skipped") {
      this.on.skipped(message.count, message.before);
    } else if (message.type === "broken") {
      this.on.state("broken", `${message.message} since ${new Date(message.since).toLocaleTimeString()}`);
    } else if (message.type === "error") {
      this.ended = true;
      this.on.state("broken", `Not live: ${message.message}`);
    }
    if (message.number) this.socket.send(JSON.stringify({ type: "ack", number: message.number }));
  }

  async lose(code) {
    if (this.ended) return;
    this.lostAt ??= Date.now();
    this.on.state("lost", "");
    const loggedOut = code === 4401 || (await this.isLoggedOut());
    if (loggedOut) {
      this.ended = true;
      this.on.state("out", "");
      return;
    }
    setTimeout(() => this.open(), this.wait * (0.75 + Math.random() / 2));
    this.wait = Math.min(this.wait * 2, WAIT_MAX);
  }

  async isLoggedOut() {
    try {
      return (await fetch("/", { method: "HEAD", redirect: "manual" })).status === 403;
    } catch {
      return false;
    }
  }

  // A connection that says nothing at all, not even that all is well, is none.
  watch() {
    const open = this.socket?.readyState === WebSocket.OPEN;
    if (open && Date.now() - this.heardAt > SILENT_AFTER) this.socket.close();
    if (this.lostAt !== null && !this.ended) this.on.state("lost", "");
  }
}
