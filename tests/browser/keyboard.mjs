// The keyboard alone: everything is reached, in the order of the page, and it is seen where one is.
import assert from "node:assert/strict";
import { test } from "node:test";

import { NARROW, WIDE, leads, stranger, text, visitor } from "./browser.mjs";
import { newOrder } from "./orders.mjs";
import { DISPATCHER, PASSWORD, hostileOrder, send, sendOne } from "./service.mjs";

const ORDERS = "/console/p/demodelivery/orders";
const BASE = "/console/p/demodelivery";
const PAGES = ["/console", ORDERS, `${ORDERS}/${hostileOrder}`, `${BASE}/rejected`, `${BASE}/unmatched`, `${BASE}/refused`, `${BASE}/actions`];

/// Numbers whatever a person may reach, in the order of the page; returns their markup.
const reachable = (page) =>
  page.evaluate(() => {
    const kinds = "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']";
    const all = [...document.querySelectorAll(kinds)].filter((element) => element.checkVisibility());
    all.forEach((element, n) => (element.dataset.n = n));
    return all.map((element) => element.outerHTML.slice(0, 100));
  });

/// Where the keyboard is.
const here = (page) =>
  page.evaluate(() => {
    const element = document.activeElement;
    if (!element || element === document.body) return null;
    const style = getComputedStyle(element);
    const box = element.getBoundingClientRect();
    const [x, y] = [box.left + Math.min(box.width, innerWidth) / 2, box.top + Math.min(box.height, innerHeight) / 2];
    const top = document.elementFromPoint(x, y);
    return {
      n: Number(element.dataset.n ?? -1),
      what: element.outerHTML.slice(0, 100),
      isOutlined: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
      isOnTop: top !== null && (element.contains(top) || top.contains(element)),
    };
  });

for (const size of [WIDE, NARROW]) {
  test(`Tab reaches everything, in order and seen, at ${size.width} pixels`, async (t) => {
    const page = await visitor({ size });
    for (const path of PAGES) {
      await t.test(path, async () => {
        await page.goto(path);
        const all = await reachable(page);
        const reached = [];
        for (let at = await next(page); at !== null; at = await next(page)) {
          // Past the last one the browser may begin anew at once.
          if (at.n === 0 && reached.length === all.length) break;
          // A date has several stops.
          if (at.n === reached.at(-1)) continue;
          assert.ok(at.isOutlined, `focus is not seen: ${at.what}`);
          assert.ok(at.isOnTop, `focus is hidden: ${at.what}`);
          assert.ok(at.n >= 0 && reached.length < all.length, `a stop too many: ${at.what}`);
          reached.push(at.n);
        }
        assert.deepEqual(reached.map((n) => all[n]), all);
      });
    }
    await page.context().close();
  });
}

async function next(page) {
  await page.keyboard.press("Tab");
  return here(page);
}

/// Goes on with Tab until it is there.
async function tabTo(page, selector) {
  for (let stops = 0; stops < 400; stops++) {
    await page.keyboard.press("Tab");
    if (await page.evaluate((selector) => document.activeElement.matches(selector), selector)) return;
  }
  assert.fail(`Tab does not lead to ${selector}`);
}

test("the first stop leads past the navigation", async () => {
  const page = await visitor();
  await page.goto(ORDERS);
  await page.keyboard.press("Tab");
  const link = page.locator("a.skip");
  assert.ok(await link.evaluate((element) => element === document.activeElement));
  assert.ok((await link.boundingBox()).height > 20);
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.closest("main")?.id), "content");
  await page.context().close();
});

for (const script of [true, false]) {
  test(`an order is found, approved and cancelled without a mouse, ${script ? "with" : "without"} JavaScript`, async () => {
    const order = newOrder();
    await sendOne(order);
    const page = await stranger({ script });
    const { keyboard } = page;
    await page.goto("/console");
    await page.locator("[name=login]:focus").waitFor();
    await keyboard.type(DISPATCHER);
    await keyboard.press("Tab");
    await keyboard.type(PASSWORD);
    await leads(page, () => keyboard.press("Enter"));
    if (script) await keyboard.press("/");
    else await tabTo(page, "[type=search]");
    await keyboard.type(order.id);
    await leads(page, () => keyboard.press("Enter"));
    assert.match(await text(page), /Новый/);
    await tabTo(page, "button[value=approved]");
    await leads(page, () => keyboard.press("Enter"));
    assert.match(await text(page), /Статус изменён\./);
    await tabTo(page, ".sure > summary");
    await keyboard.press("Enter");
    await keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.value), "removed");
    await leads(page, () => keyboard.press("Enter"));
    assert.match(await text(page), /Отменён/);
    assert.deepEqual(page.problems, []);
    await page.context().close();
  });

  test(`a filter is set without a mouse, ${script ? "with" : "without"} JavaScript`, async () => {
    const page = await visitor({ script });
    await page.goto(ORDERS);
    await tabTo(page, ".filter > summary");
    await page.keyboard.press("Enter");
    await tabTo(page, "[name=unmatched]");
    await page.keyboard.press("Space");
    await leads(page, () => page.keyboard.press("Enter"));
    assert.match(page.url(), /unmatched=1/);
    await page.context().close();
  });
}

for (const script of [true, false]) {
  test(`a rejected order is corrected without a mouse, ${script ? "with" : "without"} JavaScript`, async () => {
    const order = newOrder({ total: "дорого", status: "lost" });
    await send([order]);
    const page = await visitor({ who: DISPATCHER, script, size: NARROW });
    const { keyboard } = page;
    await page.goto(`${BASE}/rejected`);
    const href = await page.getAttribute(`a:text-is("${order.id}")`, "href");
    await tabTo(page, `a[href="${href}"]`);
    await leads(page, () => keyboard.press("Enter"));
    await tabTo(page, "[name='set:status']");
    await keyboard.press("ArrowDown");
    await tabTo(page, "[name='set:total']");
    await keyboard.press("ControlOrMeta+A");
    await keyboard.type("355");
    await tabTo(page, "button[value=send]");
    await leads(page, () => keyboard.press("Enter"));
    assert.match(page.url(), /\/orders\/\d+\?done=accepted/);
    assert.deepEqual(page.problems, []);
    await page.context().close();
  });
}

test("a slash that is typed into a field stays there", async () => {
  const page = await visitor();
  await page.goto(ORDERS);
  await page.keyboard.press("/");
  await page.keyboard.type("a/b");
  assert.equal(await page.inputValue("[type=search]"), "a/b");
  await page.context().close();
});
