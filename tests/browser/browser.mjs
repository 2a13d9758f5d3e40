// Pages as somebody sees them, and what every page is held to.
import assert from "node:assert/strict";
import { after } from "node:test";

import axe from "axe-core";
import { chromium } from "playwright-core";

import { ADMIN, PASSWORD, service } from "./service.mjs";

const browser = await chromium.launch({ executablePath: process.env.AQUA_CHROMIUM ?? "/usr/bin/chromium" });
after(() => browser.close());

export const WIDE = { width: 1280, height: 800 };
export const NARROW = { width: 360, height: 740 };
/// Every way a page is looked at.
const WAYS = [WIDE, NARROW].flatMap((size) => ["light", "dark"].map((scheme) => ({ size, scheme })));

/// A tab of a browser of its own, which nobody is logged in with. `page.problems` is what went wrong there.
export async function stranger({ script = true, size = WIDE, scheme = "light", at = service.console } = {}) {
  const context = await browser.newContext({
    baseURL: at,
    javaScriptEnabled: script,
    viewport: size,
    colorScheme: scheme,
    locale: "ru-RU",
  });
  const page = await context.newPage();
  page.problems = [];
  // A page that asks whether what was written may be lost.
  page.on("dialog", (dialog) => dialog.accept());
  page.setDefaultTimeout(10_000);
  const problem = (what) => page.problems.push(`${page.url()}: ${what}`);
  // That a page itself is a 404 is no problem of the page's.
  const pages = new Set();
  page.on("response", (response) => {
    if (response.request().isNavigationRequest()) pages.add(response.url());
    else if (response.status() >= 400) problem(`${response.status()} ${response.url()}`);
  });
  page.on("console", (message) => {
    const isOfPage = message.text().startsWith("Failed to load resource") && pages.has(message.location().url);
    if (message.type() === "error" && !isOfPage) problem(message.text());
  });
  page.on("pageerror", (error) => problem(error));
  page.on("dialog", (dialog) => {
    problem(`a dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(`${at}/console`)) problem(`loads ${request.url()}`);
  });
  if (script) {
    await page.exposeBinding("report", (_, what) => problem(what));
    await page.addInitScript(() => {
      document.addEventListener("securitypolicyviolation", (event) => window.report(`CSP: ${event.violatedDirective}`));
    });
  }
  return page;
}

const sessions = new Map();

/// The same of somebody who is logged in.
export async function visitor(options = {}) {
  const { who = ADMIN } = options;
  const page = await stranger(options);
  if (!sessions.has(who)) {
    await logIn(page, who);
    sessions.set(who, await page.context().cookies());
  }
  await page.context().addCookies(sessions.get(who));
  return page;
}

export async function logIn(page, who, password = PASSWORD) {
  if (!page.url().includes("/console/login")) await page.goto("/console/login");
  await page.fill("[name=login]", who);
  await page.fill("[name=password]", password);
  await leads(page, () => page.click("button.main"));
}

/// Does what leads to another page, or to this one anew.
export async function leads(page, action) {
  await Promise.all([page.waitForEvent("load"), action()]);
}

/// What somebody reads there.
export const text = (page) => page.innerText("main");

/// Holds the page to what every page promises at any width, light and dark.
export async function inspect(page) {
  const size = page.viewportSize();
  const isDark = await page.evaluate(() => matchMedia("(prefers-color-scheme: dark)").matches);
  for (const way of WAYS) {
    await page.setViewportSize(way.size);
    await page.emulateMedia({ colorScheme: way.scheme });
    const where = `${page.url()}, ${way.size.width} px, ${way.scheme}`;
    await hasNoProblem(page, where);
    const found = await findings(page);
    assert.ok(found.length === 0, `${where}: axe finds ${found.join("\n")}`);
  }
  await page.setViewportSize(size);
  await page.emulateMedia({ colorScheme: isDark ? "dark" : "light" });
}

/// Nothing is wrong with the page as it stands, and it does not scroll sideways.
export async function hasNoProblem(page, where = page.url()) {
  assert.ok(page.problems.length === 0, `${where}: ${page.problems.join("\n")}`);
  const wide = await page.evaluate(() => {
    const { scrollWidth, clientWidth } = document.documentElement;
    if (scrollWidth <= clientWidth) return [];
    const all = [...document.querySelectorAll("body *")];
    const beyond = all.filter((element) => element.getBoundingClientRect().right > clientWidth);
    return [`${scrollWidth} px`, ...beyond.map((element) => element.outerHTML.slice(0, 120))];
  });
  assert.ok(wide.length === 0, `${where} scrolls sideways: ${wide.join("\n")}`);
}

async function findings(page) {
  await page.evaluate(axe.source);
  const found = await page.evaluate(async () => {
    const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
    const { violations } = await window.axe.run({ runOnly: tags, resultTypes: ["violations"], preload: false });
    return violations.map(({ id, impact, nodes }) => ({ id, impact, nodes: nodes.map((node) => node.html.slice(0, 200)) }));
  });
  return found.filter(({ impact }) => ["serious", "critical"].includes(impact)).map((finding) => JSON.stringify(finding));
}
