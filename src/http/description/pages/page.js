// What both pages share. Texts go into the page by textContent alone: whatever an order or an answer says, it stays a text.

/** An element with attributes and children, lists of them too; children that are strings are texts. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return made;
}

/** A text in both languages, of which the page shows one. */
export function both(ru, en) {
  return [element("span", { class: "ru" }, ru), element("span", { class: "en" }, en)];
}

/** The description that everything here is made of. */
export async function description() {
  const answer = await fetch("/openapi.json", { credentials: "omit" });
  if (!answer.ok) throw new Error(`/openapi.json: ${answer.status}`);
  return answer.json();
}

export function language() {
  return document.documentElement.lang;
}

/** What was remembered, where the browser remembers anything. */
export function recall(key) {
  try {
    return localStorage.getItem(`aqua-orders.${key}`);
  } catch {
    return null;
  }
}

export function remember(key, value) {
  try {
    localStorage.setItem(`aqua-orders.${key}`, value);
  } catch {
    // Nothing depends on it.
  }
}

function speak(to) {
  document.documentElement.lang = to;
  const button = document.getElementById("language");
  button.textContent = to === "ru" ? "English" : "Русский";
  button.lang = to === "ru" ? "en" : "ru";
  const titles = document.querySelector("title").dataset;
  document.title = to === "ru" ? titles.ru : titles.en;
}

speak(recall("language") === "en" ? "en" : "ru");
document.getElementById("language").addEventListener("click", () => {
  speak(language() === "ru" ? "en" : "ru");
  remember("language", language());
  document.dispatchEvent(new Event("language"));
});
