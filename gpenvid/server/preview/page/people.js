// The people: those in the frame with their strength, the others as small pictures to go to.
import { byId, element, personColour, show } from "./dom.js";
import { togglePerson } from "./faces.js";
import { choosePerson, person, restorable, state, watch } from "./state.js";
import { portraitAddress } from "./timeline.js";
import { leap } from "./transport.js";
import { zoomToFace } from "./viewer.js";

const MOST = 48;
let layout = "";

export function startPeople() {
  watch(["clip", "frame", "people", "status"], lay);
}

function here() {
  return state.clip.people.filter((p) => p.start <= state.frame && state.frame < p.end);
}

function lay() {
  if (!state.clip) return;
  const { people, complete } = state.clip;
  const present = here();
  const others = people.filter((p) => !present.includes(p) && p.end <= restorable());
  byId("people-count").textContent = people.length ? `${people.length} in the clip` : "";
  const failed = state.status?.analysis.state === "failed";
  const nobody = complete ? "No face was found in this clip." : failed ? "" : "Looking for faces …";
  byId("people-empty").textContent = people.length ? "No face in this frame." : nobody;
  show(byId("people-empty"), !present.length);
  // Rows are made anew only when others come in: a slider that is being dragged must stay what it is.
  const now = JSON.stringify([present.map((p) => p.id), others.length, restorable() > state.frame]);
  if (now !== layout) {
    layout = now;
    byId("people-here").replaceChildren(...present.map(row));
    const shown = others.slice(0, MOST);
    byId("people-else").replaceChildren(...shown.map(chip), ...(others.length > MOST ? [`and ${others.length - MOST} more`] : []));
    show(byId("people-else-title"), others.length > 0);
  }
  for (const p of present) freshen(p);
  for (const p of others.slice(0, MOST)) byId(`chip-${p.id}`)?.classList.toggle("out", !person(p.id).included);
}

function row(p) {
  const image = element("img", { alt: "", src: portraitAddress(p.id), width: 48, height: 48 });
  const made = element(
    "li",
    { class: "person", id: `person-${p.id}` },
    element("button", { class: "portrait", title: "Zoom to this face", "aria-label": `Zoom to person ${p.id}`, onclick: () => zoomToFace(p.id) }, image),
    element("span", { class: "name" }, `Person ${p.id} `, element("span", { class: "facts" }, `${p.start}–${p.end - 1}`)),
    element("input", {
      class: "switch",
      type: "checkbox",
      role: "switch",
      id: `include-${p.id}`,
      "aria-label": `Restore person ${p.id}`,
      onchange: () => togglePerson(p.id),
    }),
    element(
      "span",
      { class: "share" },
      element("input", {
        type: "range",
        min: 0,
        max: 100,
        id: `share-${p.id}`,
        "aria-label": `Strength of person ${p.id}`,
        oninput: (event) => choosePerson(p.id, { strength: Number(event.target.value) / 100, included: true }),
      }),
      element("output", { id: `share-out-${p.id}` }),
    ),
    element("span", { class: "reason", id: `reason-${p.id}` }),
  );
  made.style.setProperty("--person", personColour(p.id));
  return made;
}

function freshen(p) {
  const { strength, included } = person(p.id);
  byId(`person-${p.id}`).classList.toggle("out", !included);
  byId(`include-${p.id}`).checked = included;
  const slider = byId(`share-${p.id}`);
  slider.value = Math.round(strength * 100);
  slider.disabled = !included;
  byId(`share-out-${p.id}`).textContent = included ? `${Math.round(strength * 100)} %` : "out";
  const reason = p.flags.find((f) => f.start <= state.frame && state.frame < f.end)?.reason ?? "";
  byId(`reason-${p.id}`).textContent = reason ? `left alone here: ${reason}` : "";
  show(byId(`reason-${p.id}`), Boolean(reason));
}

function chip(p) {
  const made = element(
    "button",
    { class: "chip", id: `chip-${p.id}`, title: `Go to person ${p.id}`, "aria-label": `Go to person ${p.id}`, onclick: () => leap(Math.floor((p.start + p.end) / 2)) },
    element("img", { alt: "", src: portraitAddress(p.id), loading: "lazy", width: 40, height: 40 }),
    element("span", {}, `${p.id}`),
  );
  made.style.setProperty("--person", personColour(p.id));
  return made;
}
