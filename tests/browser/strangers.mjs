// What senders wrote is text, in every view.
import assert from "node:assert/strict";
import { test } from "node:test";

import { hasNoProblem, leads, text, visitor } from "./browser.mjs";
import { shownHarm } from "./orders.mjs";
import { hostileOrder } from "./service.mjs";

const ORDERS = "/console/p/demodelivery/orders";

/// Nothing of it became a part of the page, nor turned the writing around.
async function isHarmless(page) {
  const { harmed, parts, whole } = await page.evaluate(() => ({
    harmed: window.harmed,
    parts: document.querySelectorAll("body script, main img, [onerror]").length,
    whole: document.documentElement.textContent,
  }));
  assert.equal(harmed, undefined);
  assert.equal(parts, 0);
  assert.doesNotMatch(whole, /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/);
  await hasNoProblem(page);
}

test("what an order says is shown as it was written, and does nothing", async () => {
  const page = await visitor();
  await page.goto(`${ORDERS}/${hostileOrder}`);
  await isHarmless(page);
  const told = await text(page);
  const fields = "id payment comment item product client name about city street str error 1c".split(" ");
  for (const field of fields) assert.ok(told.includes(shownHarm(field)), `${field} in ${told}`);
  // The attempt that was rejected, as it came.
  await page.click(".history summary >> nth=0");
  await isHarmless(page);
  assert.match(await history(page), /total<script>/);
  await page.context().close();
});

const history = (page) => page.innerText(".history");

test("lists and searches show it as text, too", async () => {
  const page = await visitor();
  await page.goto(`${ORDERS}?status=new`);
  await isHarmless(page);
  assert.ok((await text(page)).includes(shownHarm("name")));
  for (const typed of ["name<script>window", '"><script>window.harmed = 1</script>\u202e']) {
    await page.fill("[type=search]", typed);
    await leads(page, () => page.click(".search button"));
    await isHarmless(page);
  }
  await page.context().close();
});

test("an address that is made up does nothing", async () => {
  const page = await visitor();
  const markup = encodeURIComponent('"><script>window.harmed = 1</script>');
  for (const path of [
    `${ORDERS}?status=${markup}&from=${markup}&after=${markup}`,
    `${ORDERS}/1?done=${markup}`,
    `/console/p/${markup}/orders`,
    `/console/login?next=${markup}`,
  ]) {
    await page.goto(path);
    await isHarmless(page);
  }
  await page.context().close();
});
