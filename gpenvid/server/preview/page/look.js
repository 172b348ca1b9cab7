// The look: model, strength, grain, colour, mask, de-flicker; A and B; which view.
import { byId, element, radioGroup, show } from "./dom.js";
import { chooseLook, state, update, VIEWS, watch } from "./state.js";
import { names } from "./viewer.js";

let showView, showLook, showColor, showMask;

export function startLook() {
  showView = radioGroup(byId("views"), "view", (view) => update({ view }));
  showLook = radioGroup(document.querySelector("[aria-label='Which look is edited']"), "look", (look) => update({ active: Number(look) }));
  showColor = radioGroup(document.querySelector("[aria-labelledby='color-label']"), "color", (color) => chooseLook({ color }));
  showMask = radioGroup(document.querySelector("[aria-labelledby='mask-label']"), "mask", (mask) => chooseLook({ mask }));
  byId("ab").addEventListener("click", toggleCompare);
  byId("model").addEventListener("change", (event) => chooseLook({ model: event.target.value }));
  for (const name of ["strength", "grain"]) {
    byId(name).addEventListener("input", (event) => chooseLook({ [name]: Number(event.target.value) / 100 }));
  }
  byId("deflicker").addEventListener("change", (event) => chooseLook({ deflicker: event.target.checked }));
  watch(["clip"], fillModels);
  watch(["looks", "active", "clip"], showChosen);
  watch(["view", "compare"], () => {
    showView(state.view);
    byId("ab").setAttribute("aria-pressed", String(state.compare === "looks"));
    byId("view-left").textContent = names()[0];
    byId("view-right").textContent = names()[1];
  });
  showView(state.view);
}

export function toggleCompare() {
  update({ compare: state.compare === "looks" ? "source" : "looks" });
}

export function chooseView(number) {
  update({ view: VIEWS[number] });
}

export function flip() {
  update({ view: state.view === "left" ? "right" : "left" });
}

let models = "";

function fillModels() {
  const now = JSON.stringify(state.clip.models);
  if (now === models) return;
  models = now;
  byId("model").replaceChildren(
    ...state.clip.models.map((m) =>
      element("option", { value: m.name, disabled: !m.here, title: m.description }, m.here ? m.name.split("/").pop() : `${m.name} (not here)`),
    ),
  );
}

function showChosen() {
  const look = state.looks[state.active];
  if (!look) return;
  showLook(state.active);
  showColor(look.color);
  showMask(look.mask);
  byId("model").value = look.model;
  byId("deflicker").checked = look.deflicker;
  for (const name of ["strength", "grain"]) {
    const percent = Math.round(look[name] * 100);
    byId(name).value = percent;
    byId(`${name}-out`).textContent = `${percent} %`;
  }
  const missing = state.clip?.models.filter((m) => !m.here).length;
  byId("model-hint").textContent = missing ? "More models: gpenvid models list" : "";
  show(byId("model-hint"), Boolean(missing) && state.clip.models.filter((m) => m.here).length < 2);
}
