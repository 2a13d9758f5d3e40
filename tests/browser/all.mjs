// Every test of the console in a browser, in one process: they share the service and the browser. A file a subject.
// First, while nothing is there but an ordinary week.
import "./pictures.mjs";
import "./look.mjs";
import "./keyboard.mjs";
import "./actions.mjs";
import "./waiting.mjs";
import "./strangers.mjs";
import "./sessions.mjs";
