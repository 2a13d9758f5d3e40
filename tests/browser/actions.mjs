// What may be done with orders, done with a mouse, with and without JavaScript; and how such a test is written.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { NARROW, WIDE, hasNoProblem, inspect, leads, logIn, stranger, text, visitor } from "./browser.mjs";
import { newOrder } from "./orders.mjs";
import { ADMIN, DISPATCHER, report, send, sendOne, until } from "./service.mjs";

export const ORDERS = "/console/p/demodelivery/orders";
const WAYS = [
  { script: true, size: WIDE, scheme: "light" },
  { script: false, size: NARROW, scheme: "dark" },
];

/// A test in each of these ways; what it leads to is looked at as every page is.
export function inEachWay(name, act) {
  for (const way of WAYS) {
    const look = way.script ? inspect : hasNoProblem;
    test(`${name}, ${way.script ? "with" : "without"} JavaScript`, () => act(way, look));
  }
}

/// An order that nobody else works on, on its page.
async function onItsPage(way, changes) {
  const order = newOrder(changes);
  const number = await sendOne(order);
  const page = await visitor({ ...way, who: DISPATCHER });
  await page.goto(`${ORDERS}/${number}`);
  return { page, order, number };
}

const search = (page, typed) =>
  leads(page, async () => {
    await page.fill("[type=search]", typed);
    await page.click(".search button");
  });

const history = (page) => page.innerText(".history");

inEachWay("whoever logs in comes to where he wanted to go", async (way, look) => {
  const page = await stranger(way);
  await page.goto(`${ORDERS}?status=new`);
  await logIn(page, DISPATCHER, "wrong");
  assert.match(await text(page), /Логин или пароль не подходит\./);
  assert.equal(await page.inputValue("[name=login]"), DISPATCHER);
  await look(page);
  await logIn(page, DISPATCHER);
  assert.ok(page.url().endsWith(`${ORDERS}?status=new`));
  await look(page);
  await page.context().close();
});

inEachWay("the list is gone through by tabs, pages and filter", async (way, look) => {
  const page = await visitor(way);
  const numbers = () => page.$$eval(".orders tbody th a", (links) => links.map((link) => link.textContent));
  await page.goto(ORDERS);
  const newest = await numbers();
  await leads(page, () => page.click(".pages a"));
  const older = await numbers();
  assert.equal(new Set([...newest, ...older]).size, 100);
  await look(page);
  await leads(page, () => page.click(".pages a:first-child"));
  assert.deepEqual(await numbers(), newest);
  await leads(page, () => page.click(".tabs li:nth-child(5) a"));
  const badges = new Set(await page.$$eval(".orders td .badge:first-child", (all) => all.map((badge) => badge.textContent)));
  assert.deepEqual([...badges], ["Отменён"]);
  await leads(page, () => page.click(".tabs li:nth-child(1) a"));
  await page.click(".filter > summary");
  await page.check("[name=remarks]");
  await leads(page, () => page.click(".filter button"));
  await look(page);
  const rows = await page.$$eval(".orders tbody tr", (rows) => rows.map((row) => row.innerText));
  assert.ok(rows.length > 0 && rows.every((row) => row.includes("Замечания")), rows.join("\n"));
  await page.fill("[name=from]", "2020-01-01");
  await page.fill("[name=to]", "2020-01-02");
  await leads(page, () => page.click(".filter button"));
  assert.match(await text(page), /Таких заказов нет\./);
  await look(page);
  await leads(page, () => page.click(".filter .buttons a"));
  assert.deepEqual(await numbers(), newest);
  await page.context().close();
});

inEachWay("a search leads to the one order, or lists what it may be", async (way, look) => {
  const { page, order, number } = await onItsPage(way);
  const phone = order.client.phones[0];
  for (const typed of [order.id, String(number), phone, phone.slice(-4), order.client.username]) {
    await page.goto(ORDERS);
    await search(page, typed);
    assert.ok(page.url().endsWith(`${ORDERS}/${number}`), `${typed}: ${page.url()}`);
  }
  await page.goto(ORDERS);
  await search(page, "иванова");
  assert.ok((await page.$$(".orders tbody tr")).length > 5);
  const found = `${ORDERS}/found`;
  assert.ok(page.url().endsWith(found), "a name is in no address");
  assert.equal(await page.inputValue("[type=search]"), "иванова");
  await look(page);
  // Back from one of them are the others, by the browser's button and by the page's link.
  await leads(page, () => page.click(".orders tbody th a"));
  await page.goBack();
  assert.ok((await page.$$(".orders tbody tr")).length > 5);
  await leads(page, () => page.click(".orders tbody th a"));
  await leads(page, () => page.click(".back a"));
  assert.ok(page.url().endsWith(found));
  const refused = newOrder({ total: "дорого" });
  await send([refused]);
  await search(page, refused.id);
  assert.match(await page.innerText("h1"), new RegExp(`${refused.id}\\s+Отклонён`));
  await page.goto(ORDERS);
  await search(page, "Нетаковский");
  assert.match(await text(page), /Таких заказов нет\./);
  await look(page);
  await page.context().close();
});

inEachWay("an order is approved and completed, once, however often one clicks", async (way, look) => {
  const { page } = await onItsPage(way);
  await page.dblclick("button[value=approved]");
  await page.locator(".notice.good").waitFor();
  await look(page);
  await leads(page, () => page.click("button[value=completed]"));
  assert.match(await page.innerText("h1"), /Выполнен/);
  const told = await history(page);
  assert.equal(told.split("Новый → Принят").length, 2, told);
  assert.ok(told.includes("Принят → Выполнен") && told.includes(DISPATCHER), told);
  assert.equal(await page.$$eval("button[name=status]", (buttons) => buttons.length), 0);
  await look(page);
  await page.context().close();
});

inEachWay("a cancellation asks first", async (way, look) => {
  const { page } = await onItsPage(way);
  assert.equal(await page.isVisible("button.danger"), false);
  await page.click(".sure > summary");
  assert.match(await page.innerText(".sure"), /Отмена окончательна/);
  await look(page);
  await leads(page, () => page.click("button.danger"));
  assert.match(await page.innerText("h1"), /Отменён/);
  await page.context().close();
});

inEachWay("a stale page is told so, and shows the order as it is", async (way, look) => {
  const { page, order } = await onItsPage(way);
  await send([{ ...order, total: 999 }]);
  await leads(page, () => page.click("button[value=approved]"));
  assert.match(await text(page), /Пока страница была открыта, заказ изменился\./);
  assert.match(await text(page), /999/);
  await look(page);
  await leads(page, () => page.click("button[value=approved]"));
  assert.match(await text(page), /Статус изменён\./);
  await page.context().close();
});

inEachWay("what 1C refused is seen, and sent again", async (way, look) => {
  const { page, number } = await onItsPage(way, { payment_type: "barter" });
  await until("refused by the 1C", async () => {
    await page.reload();
    return (await text(page)).includes("Не найден вид оплаты «barter»");
  });
  await look(page);
  await leads(page, () => page.click("form[action$=resend] button"));
  assert.match(await text(page), /Заказ будет отправлен ещё раз\./);
  assert.match(await history(page), /Отправлен ещё раз/);
  await report([{ number, version: 1, error: "Нет такого контрагента" }]);
  await page.goto(`${ORDERS}?not_taken=1`);
  assert.ok((await text(page)).includes(String(number)));
  await page.goto(`${ORDERS}/${number}`);
  assert.match(await text(page), /Не принят в 1С\s+Нет такого контрагента/);
  await look(page);
  await page.context().close();
});

inEachWay("an admin sees who did what", async (way, look) => {
  const { page, number } = await onItsPage(way);
  await leads(page, () => page.click("button[value=approved]"));
  const admins = await visitor({ ...way, who: ADMIN });
  await admins.goto("/console/p/demodelivery/actions");
  const row = await admins.innerText(`tr:has-text("${number}")`);
  assert.ok(row.includes(DISPATCHER) && row.includes("смена статуса: Новый → Принят"), row);
  await look(admins);
  const [download] = await Promise.all([admins.waitForEvent("download"), admins.click("button[value=csv]")]);
  const csv = await readFile(await download.path(), "utf8");
  assert.ok(csv.startsWith("\ufeffКогда;Кто;") && csv.includes(`смена статуса;Новый → Принят;${number}`), csv.slice(0, 400));
  assert.doesNotMatch(csv, /(^|;|\n)"?[=+@\-\t]/);
  await leads(admins, () => admins.click(`a:text-is("${number}")`));
  assert.ok(admins.url().endsWith(`${ORDERS}/${number}`));
  await page.context().close();
  await admins.context().close();
});

inEachWay("language and publication are chosen, and stay", async (way, look) => {
  const page = await visitor(way);
  await page.goto(`${ORDERS}?status=new`);
  await leads(page, () => page.click("button[name=language]"));
  assert.ok(page.url().endsWith(`${ORDERS}?status=new`));
  assert.match(await page.innerText("header"), /Log out/);
  await look(page);
  await page.click(".publication > summary");
  await leads(page, () => page.click(".publication ul a"));
  assert.match(await page.innerText("header"), /Log out/);
  assert.ok(page.url().includes(encodeURI("доставка")));
  await look(page);
  await leads(page, () => page.click("button[name=language]"));
  assert.match(await page.innerText("header"), /Выйти/);
  await page.context().close();
});

inEachWay("a period is one click away, and days that cannot be are told to be none", async (way, look) => {
  const page = await visitor(way);
  await page.goto(ORDERS);
  await leads(page, () => page.click("text=Прошлая неделя"));
  const days = [await page.inputValue("[name=from]"), await page.inputValue("[name=to]")];
  assert.equal((Date.parse(days[1]) - Date.parse(days[0])) / 86_400_000, 6, days.join(" "));
  assert.match(await text(page), /Найдено заказов: \d+ на|Таких заказов нет/);
  await look(page);
  await page.fill("[name=to]", "2020-01-02");
  await leads(page, () => page.click(".filter button"));
  assert.match(await text(page), /Начало периода позже конца/);
  assert.equal((await page.$$(".orders, .export")).length, 0);
  await look(page);
  await page.context().close();
});
