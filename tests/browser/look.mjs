// Every page that a link leads to, from the first one on: whoever adds a page adds nothing here.
import assert from "node:assert/strict";
import { test } from "node:test";

import { NARROW, hasNoProblem, inspect, stranger, visitor } from "./browser.mjs";
import { DISPATCHER, hostileOrder } from "./service.mjs";

/// Where nothing leads to that is for this visitor, and what stands for pages of its kind.
const BEGINNINGS = ["/console", `/console/p/demodelivery/orders/${hostileOrder}`];

/// Pages of one shape differ in what they show alone.
const shape = (path) => path.replace(/[0-9a-f]{8}-[0-9a-f-]{27}/g, "ID").replace(/\d+/g, "N").replace(/=[^&]*/g, "=");

/// Goes wherever links lead, once for each shape, and has a look at each page. Returns the shapes.
async function walk(page, look) {
  const seen = new Set();
  const queue = [...BEGINNINGS];
  for (let path = queue.shift(); path !== undefined; path = queue.shift()) {
    if (seen.has(shape(path))) continue;
    seen.add(shape(path));
    let response;
    try {
      response = await page.goto(path);
    } catch (error) {
      if (/Download is starting/.test(error)) continue;
      throw error;
    }
    assert.equal(response.status(), 200, path);
    await look(path);
    const links = await page.$$eval("a[href]", (links) => links.map(({ pathname, search }) => pathname + search));
    queue.push(...links.filter((link) => link.startsWith("/console/")));
  }
  return [...seen].sort();
}

let admins;
test("every page is sound, at 1280 and 360 pixels, light and dark", async (t) => {
  const page = await visitor();
  admins = await walk(page, (path) => t.test(path, () => inspect(page)));
  await page.context().close();
});

test("without JavaScript the same pages are there", async () => {
  const page = await visitor({ script: false, size: NARROW, scheme: "dark" });
  assert.deepEqual(await walk(page, () => hasNoProblem(page)), admins);
  await page.context().close();
});

test("a dispatcher comes to fewer pages than an admin, and to none that is not for him", async () => {
  const page = await visitor({ who: DISPATCHER });
  const his = await walk(page, () => hasNoProblem(page));
  assert.ok(his.every((path) => admins.includes(path)), his.join(" "));
  assert.ok(his.length < admins.length && his.length >= 3, his.join(" "));
  await page.context().close();
});

test("pages that say no are sound, too", async (t) => {
  const page = await visitor({ who: DISPATCHER });
  const nobody = await stranger();
  for (const [who, path, status] of [
    [page, "/console/nowhere", 404],
    [page, "/console/p/demodelivery/orders/1", 404],
    [page, "/console/p/demodelivery/actions", 403],
    [nobody, "/console/login", 200],
  ]) {
    await t.test(path, async () => {
      assert.equal((await who.goto(path)).status(), status);
      await inspect(who);
    });
  }
  await page.context().close();
  await nobody.context().close();
});

test("what these tests look for, they see", async () => {
  const page = await visitor();
  await page.goto("/console");
  await page.evaluate(() => {
    document.querySelector("main").innerHTML += `<p style="color: red">a</p><input><p id="wide">${"w".repeat(900)}</p>`;
    console.error("wrong");
  });
  await assert.rejects(inspect(page), /CSP: style-src|inline style/);
  page.problems.length = 0;
  await assert.rejects(inspect(page), /scrolls sideways/);
  await page.$eval("#wide", (element) => element.remove());
  await assert.rejects(inspect(page), /axe finds .*"label"/);
  await page.context().close();
});
