// The faces of the frame: where they are, and buttons over them to leave people out.
import { byId, element, personColour, say } from "./dom.js";
import { panes, place } from "./layout.js";
import { getJson } from "./server.js";
import { choosePerson, person, restorable, state, update, watch } from "./state.js";
import { zoomToFace } from "./viewer.js";

const RUN = 200;
const runs = new Map(); // first frame of a run -> places, or a promise of them

export function startFaces() {
  watch(["frame", "status", "clip"], find);
  watch(["places", "people", "view", "zoom", "centre", "alwaysFaces", "clip", "loop", "compare"], lay);
  new ResizeObserver(lay).observe(byId("stage"));
}

async function find() {
  if (!state.clip || state.frame >= restorable()) {
    if (state.places.length) update({ places: [] });
    return;
  }
  const first = Math.floor(state.frame / RUN) * RUN;
  let run = runs.get(first);
  if (!run || (Array.isArray(run) && run.length <= state.frame - first)) {
    run = getJson(`/api/places?first=${first}&count=${RUN}`).then(
      (answer) => answer.places,
      () => [],
    );
    runs.set(first, run);
    runs.set(first, await run);
  }
  const places = (await run)[state.frame - first];
  if (places === undefined || places === state.places) return;
  update({ places });
  const followed = state.follow && places.find(([id]) => id === state.follow);
  if (followed) update({ centre: [(followed[1] + followed[3]) / 2, (followed[2] + followed[4]) / 2] });
}

export function togglePerson(id) {
  const included = !person(id).included;
  choosePerson(id, { included });
  say(`Person ${id} ${included ? "is restored" : "is left out"}`);
}

function lay() {
  const box = byId("faces");
  box.classList.toggle("always", state.alwaysFaces);
  const focused = document.activeElement?.dataset?.face;
  const [stage, canvas] = [byId("stage"), byId("canvas")];
  const made = [];
  if (state.clip && !state.loop && state.view !== "side") {
    const at = place(panes(canvas.width, canvas.height)[0]);
    const ratio = canvas.width / stage.clientWidth;
    for (const [id, x0, y0, x1, y1] of state.places) made.push(face(id, at, ratio, [x0, y0, x1, y1]));
  }
  box.replaceChildren(...made);
  if (focused) box.querySelector(`[data-face="${Number(focused)}"]`)?.focus();
}

function face(id, at, ratio, [x0, y0, x1, y1]) {
  const { included } = person(id);
  const button = element(
    "button",
    {
      class: included ? "face" : "face out",
      title: included ? `Leave person ${id} out` : `Restore person ${id}`,
      "aria-label": included ? `Person ${id}` : `Person ${id} · left out`,
      "aria-pressed": String(included),
      onclick: () => togglePerson(id),
      ondblclick: () => zoomToFace(id),
    },
    element("span", { class: "face-name" }, included ? `${id}` : `${id} · left out`),
  );
  button.dataset.face = id;
  button.style.setProperty("--person", personColour(id));
  button.style.left = `${(at.x + x0 * at.scale) / ratio}px`;
  button.style.top = `${(at.y + y0 * at.scale) / ratio}px`;
  button.style.width = `${((x1 - x0) * at.scale) / ratio}px`;
  button.style.height = `${((y1 - y0) * at.scale) / ratio}px`;
  return button;
}
