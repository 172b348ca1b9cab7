// Pictures from the server, decoded and kept, a few ahead of the cursor.
import { getPicture } from "./server.js";
import { peopleText, restorable, state } from "./state.js";

const BUDGET = 400e6; // bytes of decoded pictures
const AHEAD = [1, 2, 3, -1, 4, 5];

const tab = Math.random().toString(36).slice(2, 10);
const held = new Map(); // address -> bitmap, the least used first
let heldBytes = 0;
const coming = new Map(); // address -> {promise, controller, side}

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
  for (const [other, job] of coming) {
    if (job.side === side && other !== where) {
      job.controller.abort();
      coming.delete(other);
    }
  }
  return coming.get(where)?.promise ?? fetchPicture(where, side, `${where}&view=${tab}-${side}`);
}

export function lookAhead(width, form, sides, direction) {
  if (state.status?.render.state === "running") return;
  const wanted = [];
  for (const step of AHEAD) {
    const frame = state.frame + step * direction;
    if (frame >= 0 && frame < restorable()) for (const side of sides) wanted.push(address(frame, side, width, form));
  }
  for (const [where, job] of coming) {
    if (job.side === "ahead" && !wanted.includes(where)) {
      job.controller.abort();
      coming.delete(where);
    }
  }
  for (const where of wanted) {
    if (!held.has(where) && !coming.has(where)) fetchPicture(where, "ahead", `${where}&ahead=true`).catch(() => null);
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
