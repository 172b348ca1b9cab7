// The render: start, pause, stop, the result; saving choices; the command line.
import { byId, durationText, element, leftText, say, setWrapping, show } from "./dom.js";
import { post } from "./server.js";
import { choices, state, unsaved, update, watch } from "./state.js";

const STAGES = { "": "Preparing", analyse: "Looking for faces", render: "Rendering", assemble: "Putting the file together" };
let replacing = false;
let problem = "";
let offered = "";
let before = "";
let noted = "[]";

export function startRender() {
  const on = (id, act) => byId(id).addEventListener("click", act);
  on("render", () => start(false));
  on("replace", () => start(true));
  on("replace-not", keep);
  on("pause", () => order(state.status.render.state === "paused" ? "resume" : "pause"));
  on("stop", () => order("stop"));
  on("save", save);
  on("copy", copy);
  watch(["status", "clip", "looks", "people", "active", "saved", "elsewhere", "compare"], lay);
}

async function start(overwrite) {
  problem = "";
  replacing = false;
  try {
    await sent("/api/render", (page) => ({ page, overwrite }));
    say("The render has begun");
    setTimeout(() => byId("render-progress").scrollIntoView({ block: "nearest" }), 300);
  } catch (error) {
    replacing = error.code === "exists";
    if (!replacing) problem = error.message;
  }
  lay();
  if (replacing) byId("replace-not").focus();
}

// Leaves the result that is there, if that was asked; says whether it was.
export function keep() {
  if (!replacing) return false;
  replacing = false;
  lay();
  byId("render").focus();
  return true;
}

async function order(name) {
  try {
    await post(`/api/render/${name}`);
  } catch (error) {
    problem = error.message;
    lay();
  }
}

// Sends the choices to be saved, and remembers them until then: the news that they are can come before the answer.
async function sent(address, body) {
  const page = choices();
  const text = JSON.stringify(page);
  update({ sent: text });
  try {
    const answer = await post(address, body(page));
    update({ saved: text, elsewhere: false });
    return answer;
  } finally {
    update({ sent: "" });
  }
}

export async function save() {
  problem = "";
  try {
    const { sidecar } = await sent("/api/save", (page) => page);
    say(`Saved in ${sidecar}`);
    return true;
  } catch (error) {
    problem = error.message;
    say(problem);
    lay();
    return false;
  }
}

// The command reads the sidecar, so what is chosen is saved first.
export async function copy() {
  if (unsaved() && !(await save())) return;
  problem = "";
  let command = "";
  try {
    ({ command } = await post("/api/command", choices()));
  } catch (error) {
    problem = error.message;
    say(problem);
  }
  lay();
  if (!command) return;
  const line = byId("command");
  setWrapping(line, command);
  show(line, true);
  line.scrollIntoView({ block: "nearest" });
  offered = state.saved;
  try {
    await navigator.clipboard.writeText(command);
    flash(byId("copy"), "Copied");
    say("The command is copied");
  } catch {
    line.focus();
    say("The command is shown; copy it from there");
  }
}

function flash(button, text) {
  const usual = button.dataset.usual ?? button.textContent;
  button.dataset.usual = usual;
  button.textContent = text;
  setTimeout(() => (button.textContent = usual), 1600);
}

function lay() {
  const { clip, status } = state;
  if (!clip || !status) return;
  const { render } = status;
  const busy = ["running", "paused", "stopping"].includes(render.state);
  const stage = render.state === "paused" ? "Paused" : render.state === "stopping" ? "Stopping" : STAGES[render.stage] ?? render.stage;
  show(byId("render-hint"), true);
  setWrapping(byId("output-name"), clip.output);
  setWrapping(byId("sidecar-name"), clip.sidecar);
  byId("save-state").textContent = !clip.complete ? "" : unsaved() ? "not saved" : "choices saved";
  show(byId("elsewhere"), state.elsewhere && unsaved());
  show(byId("render-progress"), busy);
  const share = render.total ? render.done / render.total : 0;
  byId("render-stage").textContent = render.total ? `${stage} · ${Math.floor(100 * share)} %` : stage;
  const fps = (frames) => (render.seconds && frames > render.kept ? `${((frames - render.kept) / render.seconds).toFixed(1)} fps` : "");
  const speed = render.stage === "render" ? fps(render.done) : "";
  const rest = render.remaining === null || render.state !== "running" ? "" : leftText(render.remaining);
  byId("render-rest").textContent = [speed, rest].filter(Boolean).join(" · ");
  if (render.total) byId("render-bar").value = share;
  else byId("render-bar").removeAttribute("value");
  show(byId("render"), !busy && !replacing);
  byId("render").textContent = render.state === "stopped" || render.state === "failed" ? "Go on with the render" : render.state === "done" ? "Render again" : "Render the clip";
  // With two looks in view it must be plain which of them is meant.
  if (state.compare === "looks") byId("render").textContent += ` with ${state.active ? "B" : "A"}`;
  byId("render").classList.toggle("primary", render.state !== "done");
  byId("render").disabled = byId("save").disabled = byId("copy").disabled = !clip.complete;
  show(byId("render-replace"), replacing);
  show(byId("pause"), busy);
  byId("pause").textContent = render.state === "paused" ? "Go on" : "Pause";
  byId("pause").disabled = render.state === "stopping";
  show(byId("stop"), busy);
  byId("stop").disabled = render.state === "stopping";
  const done = render.state === "done";
  show(byId("render-result"), done && !replacing);
  show(byId("download"), done && render.single); // numbered pictures lie in a folder already
  if (done) {
    const rate = fps(render.frames) && ` (${fps(render.frames)})`;
    byId("render-done").textContent = `${render.result}: ${render.frames} frames, ${render.faces} faces restored in ${durationText(render.seconds)}${rate}.`;
  }
  const failed = render.state === "failed" ? `${render.problem}${render.remedy ? `: ${render.remedy}` : ""}` : "";
  const held = render.state === "stopped" ? "Stopped. What is finished is kept." : failed;
  const told = problem || (replacing ? `${clip.output} exists already.` : held);
  byId("render-problem").textContent = told;
  byId("render-problem").classList.toggle("asking", !problem && told !== failed);
  show(byId("render-problem"), Boolean(told));
  layNotes([...status.analysis.notes, ...(done ? render.warnings : render.notes)]);
  if (offered && offered !== JSON.stringify(choices())) show(byId("command"), false);
  if (render.state !== before) {
    const words = { done: "The render is done", failed: failed, stopped: "The render is stopped; what is finished is kept", paused: "The render is paused" };
    if (before && words[render.state]) say(words[render.state]);
    before = render.state;
  }
}

// What the analysis and the render have to say: a damaged file, a stream that does not fit, a sidecar that was left alone.
function layNotes(found) {
  const notes = [...new Set(found)].slice(-8);
  const now = JSON.stringify(notes);
  if (now === noted) return;
  noted = now;
  byId("notes").replaceChildren(...notes.map(() => element("li")));
  notes.forEach((text, i) => setWrapping(byId("notes").children[i], text));
  show(byId("notes"), notes.length > 0);
}
