// What the page knows and what is chosen on it. Parts watch the names they care about.

export const VIEWS = ["wipe", "side", "difference", "left", "right"];

export const state = {
  clip: null,
  times: [],
  status: null,
  connected: true,
  frame: 0,
  view: "wipe",
  wipe: 0.5,
  compare: "source", // or "looks": A against B
  zoom: 0, // screen pixels per picture pixel, 0 fits the picture in
  centre: null, // [x, y] in picture pixels
  follow: 0, // the person the zoomed view stays with
  looks: [null, null],
  active: 0,
  people: {}, // by number, where something was chosen: {strength, included}
  saved: "", // the choices as they were saved last, by whichever window
  sent: "", // the choices that are on their way to be saved
  given: "", // the choices that this window began with
  elsewhere: false, // whether it was another window, while something else was chosen here
  marks: [null, null],
  loop: null, // the loop that is playing: {id, first, last}
  loopNews: "", // of a loop that is being made, or why it cannot be
  sound: true,
  alwaysFaces: false,
  trouble: "", // why the picture asked for did not come
  places: [], // faces in this frame: [id, x0, y0, x1, y1, weight]
};

const watchers = [];
let waiting = null;

// Called once for all changes made in one go, with the state and what it was before.
export function watch(names, act) {
  watchers.push({ names, act });
}

export function update(changes) {
  waiting ??= { ...state };
  const before = waiting;
  Object.assign(state, changes);
  if (before.scheduled) return;
  before.scheduled = true;
  queueMicrotask(() => {
    waiting = null;
    const changed = Object.keys(state).filter((name) => state[name] !== before[name]);
    for (const watcher of watchers) if (watcher.names.some((name) => changed.includes(name))) watcher.act(state, before);
  });
}

export function frameCount() {
  return state.clip ? (state.clip.complete ? state.clip.frames : Math.max(state.times.length, 1)) : 0;
}

export function restorable() {
  return state.status?.analysis.restorable ?? 0;
}

export function goTo(frame) {
  const last = Math.max(0, state.times.length - 1);
  update({ frame: Math.min(Math.max(0, Math.round(frame)), last) });
}

export function person(id) {
  const found = state.clip?.people.find((p) => p.id === id);
  const given = found?.strength ?? 1;
  return state.people[id] ?? { strength: given || 1, included: given > 0 };
}

export function choosePerson(id, changes) {
  update({ people: { ...state.people, [id]: { ...person(id), ...changes } } });
}

export function chooseLook(changes) {
  const looks = [...state.looks];
  looks[state.active] = { ...looks[state.active], ...changes };
  update({ looks });
}

// All choices, as the server takes and saves them.
export function choices() {
  return { looks: state.looks, active: state.active, people: state.people };
}

export function unsaved() {
  return JSON.stringify(choices()) !== state.saved;
}

// Whether something was chosen here that would be lost.
export function chosen() {
  return state.given !== "" && JSON.stringify(choices()) !== (state.saved || state.given);
}

// The choices that the sidecar tells of, or those of a clip that has none.
function choicesOf(clip) {
  const known = (look) => look && clip.models.some((m) => m.name === look.model && m.here) && { ...clip.look, ...look };
  const saved = clip.saved ?? {};
  const first = known(saved.looks?.[0]) || { ...clip.look };
  const second = known(saved.looks?.[1]) || { ...clip.look, strength: clip.look.strength > 0.5 ? 0.5 : 1 };
  return { looks: [first, second], active: saved.active === 1 ? 1 : 0, people: stillTrue(clip, saved.people ?? {}) };
}

export function applySaved(clip) {
  const found = choicesOf(clip);
  const given = JSON.stringify(found);
  update({ ...found, given, saved: clip.saved ? given : "", elsewhere: false });
}

// What another window has saved is taken over where nothing was chosen here, and told of where something was. Whether it was.
export function followSaved(clip) {
  const theirs = JSON.stringify(choicesOf(clip));
  const mine = JSON.stringify(choices());
  if (theirs === mine) update({ saved: theirs, elsewhere: false });
  if ([mine, state.saved, state.sent].includes(theirs)) return false;
  if (!chosen()) applySaved(clip);
  else update({ saved: theirs, elsewhere: true });
  return true;
}

// Strengths that were edited in the sidecar since count for more than what the page remembers.
function stillTrue(clip, people) {
  const given = new Map(clip.people.map((p) => [String(p.id), p.strength]));
  return Object.fromEntries(Object.entries(people).filter(([id, p]) => given.get(id) === (p.included ? p.strength : 0)));
}

// Those in a frame who are not restored in full, as the pictures' addresses take it; chosen here or not, since another window
// may have saved it. The others are left out: that a person is known must not make a picture new.
export function peopleText(frame) {
  return state.clip.people
    .filter((p) => p.start <= frame && frame < p.end)
    .map(({ id }) => [id, person(id)])
    .map(([id, p]) => [id, p.included ? p.strength : 0])
    .filter(([id, strength]) => strength < 1 || id in state.people)
    .map(([id, strength]) => `${id}:${strength}`)
    .join(",");
}
