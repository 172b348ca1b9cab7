// Pictures from the server, decoded and kept, a few ahead of the cursor.
import { getPicture } from "./server.js";
import { peopleText, restorable, state } from "./state.js";

const BUDGET = 400e6; // bytes of decoded pictures
const AHEAD = [1, 2, 3, -1, 4, 5];
const AT_ONCE = 2; // asked for ahead; browsers open six connections to a server, and what is looked at needs its own

const tab = Math.random().toString(36).slice(2, 10);
const held = new Map(); // address -> bitmap, the least used first
let heldBytes = 0;
const coming = new Map(); // address -> {promise, controller, side}
let next = []; // addresses to ask for ahead

// Which picture a side shows: null is the source.
export function lookOf(side) {
  if (side === "left") return state.compare === "looks" ? state.looks[0] : null;
  return state.compare === "looks" ? state.looks[1] : state.looks[state.active];
}

export function address(frame, side, width, form) {
  const look = lookOf(side);
  const query = new URLSearchParams({ form, width, session: state.clip.session });
  if (look) {
    const { model, strength, color, deflicker, grain, mask } = look;
    for (const [key, value] of Object.entries({ kind: "restored", model, strength, color, deflicker, grain, mask })) query.set(key, value);
    const people = peopleText(frame);
    if (people) query.set("people", people);
  }
  return `/api/frame/${frame}?${query}`;
}

export function ready(where) {
  const bitmap = held.get(where);
  if (bitmap) {
    held.delete(where);
    held.set(where, bitmap);
  }
  return bitmap ?? null;
}

// Ask for what is looked at now; what the same side asked for before is given up.
export function ask(where, side) {
  const done = ready(where);
  if (done) return Promise.resolve(done);
  for (const [other, job] of coming) if (job.side === side && other !== where) give(other);
  const job = coming.get(where);
  if (job && job.side !== "ahead") {
    // The other side may want something else next; this one still waits for it.
    job.side = side;
    return job.promise;
  }
  // What was asked for ahead is asked for again: it must not wait its turn any longer.
  give(where);
  return fetchPicture(where, side, `${where}&view=${tab}-${side}`);
}

function give(where) {
  coming.get(where)?.controller.abort();
  coming.delete(where);
}

export function lookAhead(width, form, sides, direction) {
  next = [];
  if (state.status?.render.state === "running") return;
  for (const step of AHEAD) {
    const frame = state.frame + step * direction;
    if (frame >= 0 && frame < restorable()) for (const side of sides) next.push(address(frame, side, width, form));
  }
  for (const [where, job] of coming) if (job.side === "ahead" && !next.includes(where)) give(where);
  fetchAhead();
}

function fetchAhead() {
  let busy = [...coming.values()].filter((job) => job.side === "ahead").length;
  while (busy < AT_ONCE && next.length) {
    const where = next.shift();
    if (held.has(where) || coming.has(where)) continue;
    busy += 1;
    fetchPicture(where, "ahead", `${where}&ahead=true`).then(fetchAhead, () => null);
  }
}

function fetchPicture(where, side, full) {
  const controller = new AbortController();
  const promise = getPicture(full, controller.signal)
    .then((bitmap) => {
      keep(where, bitmap);
      return bitmap;
    })
    .finally(() => {
      if (coming.get(where)?.controller === controller) coming.delete(where);
    });
  coming.set(where, { promise, controller, side });
  return promise;
}

function keep(where, bitmap) {
  if (held.has(where)) return;
  held.set(where, bitmap);
  heldBytes += 4 * bitmap.width * bitmap.height;
  for (const [old, oldest] of held) {
    if (heldBytes <= BUDGET || held.size <= 8) break;
    held.delete(old);
    heldBytes -= 4 * oldest.width * oldest.height;
    // Not closed: it may be on the screen still. The collector takes it.
  }
}
