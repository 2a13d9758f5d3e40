// What is nicer with a script; without it everything works, too.

// "/" leads to the search, wherever one is.
document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest?.("input, textarea, select");
  if (event.key !== "/" || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  const search = document.querySelector("input[type=search]");
  if (search) {
    event.preventDefault();
    search.select();
  }
});

// A second click while the first is on its way does nothing.
document.addEventListener("submit", (event) => {
  // A file is saved, and the page stays as it is.
  if (event.target.dataset.stays !== undefined) return;
  if (event.target.dataset.sent) {
    event.preventDefault();
    return;
  }
  event.target.dataset.sent = "yes";
});
// Whoever comes back to the page may click again.
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});

// Esc closes what asks once more.
document.addEventListener("keydown", (event) => {
  const open = event.key === "Escape" && document.querySelector(".sure[open]");
  if (!open) return;
  open.open = false;
  open.querySelector("summary").focus();
});

// In a row that scrolls sideways the one with the keyboard's focus is seen whole; Chromium is content with a part of it.
document.addEventListener("focusin", (event) => {
  if (event.target.closest(".groups")) event.target.scrollIntoView({ block: "nearest", inline: "nearest" });
});

// What somebody corrected is not lost by a click on something else.
const isChanged = (field) => {
  if (field.dataset.unsaved !== undefined) return true;
  if (field.options) return [...field.options].some((option) => option.selected !== option.defaultSelected);
  return field.value !== field.defaultValue;
};
window.addEventListener("beforeunload", (event) => {
  const fields = [...document.querySelectorAll("textarea, [name^='set:']")].filter((field) => !field.form.dataset.sent);
  if (fields.some(isChanged)) event.preventDefault();
});

// What goes on step by step goes on by itself, as long as the page is open.
const next = document.querySelector("form[data-goes-on]");
if (next) setTimeout(() => next.requestSubmit(), 300);
