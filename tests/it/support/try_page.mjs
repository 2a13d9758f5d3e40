// Runs the scripts of /try as a browser would, on as much of a page as they touch, and prints what they show: texts, and in
// brackets those that stand out (codes and badges).
// node try_page.mjs http://HOST ORDERS LANGUAGE
const [, , base, orders, speaks] = process.argv;

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
globalThis.location = { search: "?publication=demodelivery" };
globalThis.localStorage = { getItem: () => speaks, setItem() {} };
const ask = fetch;
// A browser's fetch knows of what node's does not.
globalThis.fetch = (path, { method, headers, body } = {}) => ask(base + path, { method, headers, body });

const script = async (path) => (await ask(base + path)).text();
const module = (source) => `data:text/javascript;base64,${Buffer.from(source).toString("base64")}`;
const page = module(await script("/docs/page.js"));
element("orders").value = orders;
await import(module((await script("/docs/try.js")).replace("/docs/page.js", page)));
await element("form").listeners.submit({ preventDefault() {} });
