// Small things about elements. Text always goes in as text.

export function byId(id) {
  return document.getElementById(id);
}

export function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key === "class") made.className = value;
    else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key in made && !key.startsWith("aria")) made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

export function show(node, visible) {
  node.hidden = !visible;
}

// Text in a narrow place: options stay whole, and names break behind their signs rather than anywhere.
export function setWrapping(node, text) {
  if (node.textContent === text) return;
  const parts = text.split(/(\s+)/).flatMap((word) => {
    if (word.startsWith("-")) return [element("span", { class: "whole" }, word)];
    return word.split(/(?<=[_./])/).flatMap((part, i) => (i ? [element("wbr"), part] : [part]));
  });
  node.replaceChildren(...parts);
}

// A group of buttons of which one is chosen: arrow keys move, as the pattern for radio groups says.
export function radioGroup(group, name, choose) {
  const buttons = [...group.querySelectorAll("button")];
  for (const button of buttons) button.addEventListener("click", () => choose(button.dataset[name]));
  group.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const next = buttons[(buttons.indexOf(document.activeElement) + step + buttons.length) % buttons.length];
    next.focus();
    choose(next.dataset[name]);
  });
  return (value) => {
    for (const button of buttons) {
      const chosen = button.dataset[name] === String(value);
      button.setAttribute("aria-checked", String(chosen));
      button.tabIndex = chosen ? 0 : -1;
    }
  };
}

let spoken = 0;

// Said to screen readers, the newest only: stepping quickly must not queue up sentences.
export function say(text) {
  clearTimeout(spoken);
  spoken = setTimeout(() => {
    byId("live").textContent = text;
  }, 250);
}

const COLOURS = ["#8fc7ff", "#ffc66e", "#9be29b", "#f3a6d4", "#c7b6ff", "#7fe0d6", "#ffb099", "#dede78"];

export function personColour(id) {
  return COLOURS[(id - 1) % COLOURS.length];
}

export function clockText(seconds) {
  const minutes = Math.floor(seconds / 60);
  const rest = (seconds - 60 * minutes).toFixed(3).padStart(6, "0");
  const hours = Math.floor(minutes / 60);
  return hours ? `${hours}:${String(minutes % 60).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

export function leftText(seconds) {
  const whole = Math.max(1, Math.round(seconds));
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const rest = String(whole % 60).padStart(2, "0");
  return `${hours ? `${hours}:${String(minutes).padStart(2, "0")}` : minutes}:${rest} left`;
}

export function durationText(seconds) {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
}
