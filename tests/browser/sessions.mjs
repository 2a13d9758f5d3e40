// Who has logged out is out, in every browser and at every instance.
import assert from "node:assert/strict";
import { test } from "node:test";

import { leads, logIn, stranger } from "./browser.mjs";
import { ADMIN, service } from "./service.mjs";

const ORDERS = "/console/p/demodelivery/orders";

test("a cookie from before the logout leads to the login, at another instance, too", async () => {
  const page = await stranger();
  await logIn(page, ADMIN);
  const cookies = await page.context().cookies();
  const elsewhere = await stranger({ at: service.other });
  await elsewhere.context().addCookies(cookies);
  await elsewhere.goto(ORDERS);
  assert.ok(elsewhere.url().endsWith(ORDERS), "while it lasts, any instance knows it");

  await page.goto(ORDERS);
  await leads(page, () => page.click("form[action$=logout] button"));
  await page.context().addCookies(cookies);
  for (const tab of [page, elsewhere]) {
    await tab.goto(ORDERS);
    assert.match(tab.url(), /\/console\/login\?next=/);
    assert.deepEqual(tab.problems, []);
    await tab.context().close();
  }
});

test("the browser keeps no page to go back to", async () => {
  const page = await stranger();
  await logIn(page, ADMIN);
  await page.goto(`${ORDERS}?status=new`);
  await leads(page, () => page.click("form[action$=logout] button"));
  await page.goBack();
  assert.match(page.url(), /\/console\/login/);
  await page.context().close();
});

test("scripts never see the session", async () => {
  const page = await stranger();
  await logIn(page, ADMIN);
  assert.equal(await page.evaluate(() => document.cookie), "");
  const [session] = (await page.context().cookies()).filter(({ name }) => name === "aqua-console");
  assert.deepEqual([session.httpOnly, session.sameSite], [true, "Strict"]);
  await page.context().close();
});
