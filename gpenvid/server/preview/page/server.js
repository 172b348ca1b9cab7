// The one place that talks to the server.

export class Refused extends Error {
  constructor(status, body) {
    const error = body?.error ?? {};
    super(error.message ? `${error.message}${error.remedy ? `: ${error.remedy}` : ""}` : `the server answered ${status}`);
    this.status = status;
    this.code = error.code ?? "";
  }
}

async function checked(answer) {
  if (answer.ok) return answer;
  throw new Refused(answer.status, await answer.json().catch(() => null));
}

export async function getJson(address) {
  return (await checked(await fetch(address))).json();
}

export async function post(address, body = {}) {
  const headers = { "content-type": "application/json" };
  return (await checked(await fetch(address, { method: "POST", headers, body: JSON.stringify(body) }))).json();
}

export async function getPicture(address, signal) {
  const blob = await (await checked(await fetch(address, { signal }))).blob();
  return createImageBitmap(blob);
}

// Browsers open six connections to a server: a window that nobody sees leaves its own to the others.
export function listen(onStatus, onLost) {
  let events = null;
  const follow = () => {
    events?.close();
    events = null;
    if (document.hidden) return;
    events = new EventSource("/api/events");
    events.onmessage = (event) => onStatus(JSON.parse(event.data));
    events.onerror = () => onLost();
  };
  document.addEventListener("visibilitychange", follow);
  follow();
}
