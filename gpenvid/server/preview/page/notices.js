// What lies over the picture while there is none, or nothing to see on it.
import { byId, show } from "./dom.js";
import { restorable, state, watch } from "./state.js";

export function startNotices() {
  byId("notice-again").addEventListener("click", () => location.reload());
  watch(["clip", "status", "connected", "frame", "times", "places", "trouble", "loop", "loopNews"], lay);
  lay();
}

function lay() {
  const is = state.status?.analysis;
  const notice = byId("notice");
  const [title, text, kind] = words(is);
  show(notice, Boolean(title));
  notice.classList.toggle("failed", kind === "failed");
  byId("notice-title").textContent = title;
  byId("notice-text").textContent = text;
  const bar = byId("notice-progress");
  show(bar, kind === "loading");
  if (is?.total) bar.value = Math.min(1, is.done / is.total);
  else bar.removeAttribute("value");
  show(byId("notice-again"), kind === "failed" && !state.connected);
  // Controls that have nothing to act on yet are out of reach, not merely without effect.
  const idle = !state.clip || is?.state === "failed" || !state.connected;
  for (const part of document.querySelectorAll(".panel, .transport, .timeline, .views, #ab")) part.inert = idle;
  const badge = badgeText(is);
  byId("badge").textContent = badge;
  show(byId("badge"), Boolean(badge) && !title);
}

function words(is) {
  if (!state.connected) return ["The preview has ended", "The program behind this page does not answer. Start it again with gpenvid preview.", "failed"];
  if (is?.state === "failed") return ["This clip cannot be previewed", is.problem, "failed"];
  if (state.trouble) return ["This frame cannot be shown", state.trouble, "failed"];
  if (!state.clip || !state.times.length) return ["Opening the clip", "Frames can be looked at as soon as they are read.", "loading"];
  return ["", "", ""];
}

function badgeText(is) {
  if (state.loopNews) return state.loopNews;
  if (!is || !state.clip || state.loop) return "";
  if (state.frame >= restorable()) {
    const share = is.total ? ` · ${Math.floor((100 * is.done) / is.total)} %` : "";
    return is.state === "ready" ? "" : `Looking for faces${share} · restored when this shot is done`;
  }
  if (state.clip.complete && !state.clip.people.length) return "No face was found in this clip; a render would change nothing";
  if (!state.places.length && state.clip.people.length) return "No face in this frame";
  if (is.state === "ready") return "";
  return `Looking for faces${is.total ? ` · ${Math.floor((100 * is.done) / is.total)} %` : ""}`;
}
