// The keyboard. Every key has a button too.
import { byId } from "./dom.js";
import { togglePerson } from "./faces.js";
import { chooseView, flip, toggleCompare } from "./look.js";
import { mark, stopLoop, toggleLoop, toggleSound } from "./loop.js";
import { copy, keep, save } from "./render.js";
import { state, update } from "./state.js";
import { leap, pausePlay, play, shotStep, step, togglePlay, toggleZoom } from "./transport.js";
import { zoomBy } from "./viewer.js";

let lastToggled = -1;

const KEYS = {
  ArrowLeft: (event) => step(event.shiftKey ? -10 : -1),
  ArrowRight: (event) => step(event.shiftKey ? 10 : 1),
  ArrowUp: () => shotStep(-1),
  ArrowDown: () => shotStep(1),
  Home: () => leap(0),
  End: () => leap(Infinity),
  " ": togglePlay,
  j: () => play(-1),
  k: pausePlay,
  l: () => play(1),
  b: flip,
  a: toggleCompare,
  z: toggleZoom,
  f: () => update({ alwaysFaces: !state.alwaysFaces }),
  x: toggleNext,
  i: () => mark(0),
  o: () => mark(1),
  p: toggleLoop,
  m: toggleSound,
  c: copy,
  "+": () => zoomBy(1),
  "=": () => zoomBy(1),
  "-": () => zoomBy(-1),
  0: () => update({ zoom: 0, centre: null, follow: 0 }),
  ",": () => update({ wipe: Math.max(0, state.wipe - 0.02) }),
  ".": () => update({ wipe: Math.min(1, state.wipe + 0.02) }),
  "?": () => byId("help").showModal(),
  Escape: () => {
    if (keep()) return;
    stopLoop();
    pausePlay();
  },
};
for (let number = 0; number < 5; number += 1) KEYS[number + 1] = () => chooseView(number);

export function startKeys() {
  byId("help-open").addEventListener("click", () => byId("help").showModal());
  byId("help-close").addEventListener("click", () => byId("help").close());
  byId("help").addEventListener("click", (event) => event.target === byId("help") && byId("help").close());
  document.addEventListener("keydown", (event) => {
    if (byId("help").open) {
      if (event.key === "?") byId("help").close();
      return;
    }
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "s") {
      event.preventDefault();
      save();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || !state.clip || isTaken(event)) return;
    const act = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act) return;
    event.preventDefault();
    act(event);
  });
}

// Keys that the focused control needs itself.
function isTaken({ key, target }) {
  if (target.matches("select, textarea, input[type='text']")) return key !== "Escape";
  if (target.matches("input[type='range']")) return key.startsWith("Arrow") || ["Home", "End", "PageUp", "PageDown"].includes(key);
  if (target.matches("button, a, input[type='checkbox']")) return key === " " || key === "Enter";
  return false;
}

// The faces of a frame one after the other.
function toggleNext() {
  const ids = state.places.map(([id]) => id);
  if (!ids.length) return;
  lastToggled = ids[(ids.indexOf(lastToggled) + 1) % ids.length];
  togglePerson(lastToggled);
}
