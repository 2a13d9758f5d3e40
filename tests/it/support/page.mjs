// Runs the scripts of /docs, or of /try with orders, as a browser would, on as much of a page as they touch, and prints what they
// show: texts, and in brackets those that stand out (codes and badges).
// node page.mjs http://HOST LANGUAGE [ORDERS]
const [, , base, speaks, orders] = process.argv;

class Element {
  constructor(name) {
    Object.assign(this, { name, attributes: {}, children: [], listeners: {}, dataset: {}, value: "", lang: "ru" });
  }
  setAttribute(key, value) {
    this.attributes[key] = value;
  }
  append(...children) {
    this.children.push(...children);
  }
  replaceChildren(...children) {
    this.children = children;
  }
  hasChildNodes() {
    return this.children.length > 0;
  }
  addEventListener(event, listener) {
    this.listeners[event] = listener;
  }
  focus() {}
  scrollIntoView() {
    console.log(text(this));
  }
}

function text(node) {
  if (typeof node === "string") return node;
  const { attributes, name } = node;
  if (["ru", "en"].includes(attributes.class) && attributes.class !== speaks) return "";
  const inner = node.children.map(text).join("");
  const standsOut = name === "code" || attributes.class?.startsWith("badge");
  return standsOut ? `[${inner}]` : inner;
}

const elements = new Map();
const element = (id) => elements.get(id) ?? elements.set(id, new Element(id)).get(id);
globalThis.document = {
  createElement: (name) => new Element(name),
  getElementById: element,
  querySelector: element,
  documentElement: element("html"),
  addEventListener() {},
  dispatchEvent() {},
};
globalThis.location = { search: "?publication=demodelivery", hash: "", origin: base };
globalThis.localStorage = { getItem: () => speaks, setItem() {} };
const ask = fetch;
// A browser's fetch knows of what node's does not.
globalThis.fetch = (path, { method, headers, body } = {}) => ask(base + path, { method, headers, body });

const script = async (path) => (await ask(base + path)).text();
const module = (source) => `data:text/javascript;base64,${Buffer.from(source).toString("base64")}`;
const page = module(await script("/docs/page.js"));
const run = async (path) => import(module((await script(path)).replace("/docs/page.js", page)));
if (orders === undefined) {
  await run("/docs/docs.js");
  console.log(text(element("content")));
} else {
  element("orders").value = orders;
  await run("/docs/try.js");
  await element("form").listeners.submit({ preventDefault() {} });
}
