// What needs a person, settled by one; what is taken away as a file; a client's data.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";

import { inEachWay, ORDERS } from "./actions.mjs";
import { leads, text, visitor } from "./browser.mjs";
import { newOrder } from "./orders.mjs";
import { ADMIN, DISPATCHER, PASSWORD, report, send, sendOne, until } from "./service.mjs";

const BASE = "/console/p/demodelivery";

inEachWay("a rejected order is corrected, checked and sent", async (way, look) => {
  const order = newOrder({ total: "дорого" });
  await send([order]);
  const page = await visitor({ ...way, who: DISPATCHER });
  await page.goto(`${BASE}/rejected`);
  await leads(page, () => page.click(`a:text-is("${order.id}")`));
  await leads(page, () => page.click("button[value=check]"));
  assert.match(await page.innerText(".verdict"), /Сумма: неверный тип/);
  await look(page);
  await page.fill("textarea", JSON.stringify({ ...order, total: 355 }));
  await leads(page, () => page.click("button[value=check]"));
  assert.equal(await page.$$eval(".verdict .badge.good", (badges) => badges.length), 1);
  await look(page);
  await leads(page, () => page.click("button[value=send]"));
  assert.match(page.url(), /\/orders\/\d+\?done=accepted/);
  const told = await page.innerText(".history");
  assert.match(told, /Исправлен и отправлен\s+Анна\s+Сумма: дорого → 355/);
  assert.match(told, /Получен\s+Анна, из консоли/);
  await look(page);
  await page.goto(`${BASE}/rejected`);
  assert.ok(!(await text(page)).includes(order.id), "it is settled");
  await page.context().close();
});

inEachWay("a rejected order is corrected in its fields, and nobody need read JSON", async (way, look) => {
  const order = newOrder({ total: "дорого", status: "lost", shipping_date_from: "31.02.2026" });
  order.client = { username: "Проверка полей" };
  await send([order]);
  const page = await visitor({ ...way, who: DISPATCHER });
  await page.goto(`${BASE}/rejected`);
  await leads(page, () => page.click(`a:text-is("${order.id}")`));
  await look(page);
  const total = page.getByLabel(/^Сумма: неверный тип/);
  assert.equal(await total.inputValue(), "дорого");
  await total.fill("семьсот");
  await leads(page, () => page.click("button[value=check] >> nth=0"));
  assert.match(await page.innerText(".verdict"), /Будет отклонён[^]*Сумма: неверный тип/);
  assert.equal(await total.inputValue(), "семьсот");
  await look(page);
  await total.fill("710,50");
  await page.getByLabel(/^Статус: /).selectOption("Новый");
  await page.getByLabel(/^Доставка с|^Начало доставки: /).fill("2026-11-27T10:00");
  await page.getByLabel(/^Телефон: /).fill("8 901 222-33-44");
  // Enter checks.
  await leads(page, () => total.press("Enter"));
  assert.match(await page.innerText(".verdict"), /Будет принят/);
  const { total: sum, client } = JSON.parse(await page.inputValue("textarea"));
  assert.deepEqual([sum, client.phone], ["710,50", "8 901 222-33-44"]);
  await look(page);
  await leads(page, () => page.click("button.main[value=send] >> nth=0"));
  assert.match(await text(page), /710,50/);
  await page.context().close();
});

inEachWay("a text that outlived the session is there again after the login", async (way, look) => {
  const order = newOrder({ total: "дорого" });
  await send([order]);
  const page = await visitor({ ...way, who: DISPATCHER });
  await page.goto(`${BASE}/rejected`);
  await leads(page, () => page.click(`a:text-is("${order.id}")`));
  const at = page.url();
  const written = (await page.inputValue("textarea")).replace('"дорого"', "355");
  await page.fill("textarea", written);
  // The hour is over.
  await page.context().clearCookies();
  await leads(page, () => page.click(".edit button.main"));
  assert.match(await text(page), /Сеанс закончился, ничего не отправлено/);
  assert.equal(await page.inputValue("[name=login]"), DISPATCHER);
  await look(page);
  for (const password of ["wrong", PASSWORD]) {
    await page.fill("[name=password]", password);
    await leads(page, () => page.click("main button.main"));
  }
  // With a script it goes on by itself.
  if (way.script) await page.waitForURL(`${at}/send`);
  else await leads(page, () => page.click("main button.main"));
  assert.match(await text(page), /Ваш текст снова здесь\. Он ещё не отправлен\./);
  assert.equal(await page.inputValue("textarea"), written);
  await look(page);
  await leads(page, () => page.click(".edit button.main"));
  assert.match(page.url(), /\/orders\/\d+\?done=accepted/);
  await page.context().close();
});

inEachWay("a rejected order that needs nothing is marked as settled", async (way, look) => {
  const order = newOrder({ total: -1 });
  await send([order]);
  const page = await visitor({ ...way, who: DISPATCHER });
  await page.goto(`${BASE}/rejected`);
  await leads(page, () => page.click(`tr:has(a:text-is("${order.id}")) button`));
  assert.ok(!(await text(page)).includes(order.id));
  await look(page);
  await page.context().close();
});

inEachWay("a caller's rejected order is found by phone, and read without JSON", async (way, look) => {
  const order = newOrder({ total: "дорого" });
  const digits = String(Math.floor(1e6 + Math.random() * 9e6));
  order.client = { username: "Не дождалась Ответа", phone: `+7 908 ${digits}` };
  await send([order]);
  const page = await visitor({ ...way, who: DISPATCHER });
  await page.goto(ORDERS);
  await page.fill("#q", digits);
  await leads(page, () => page.press("#q", "Enter"));
  assert.match(page.url(), /\/kept\//);
  assert.match(await page.innerText("section:has(#order-read)"), /Не дождалась Ответа[\s\S]*Сумма\s+дорого/);
  await look(page);
  // Of several, what they are stands beside each.
  await send([{ ...order, id: `${order.id}-2` }]);
  await page.goto(ORDERS);
  await page.fill("#q", digits);
  await leads(page, () => page.press("#q", "Enter"));
  assert.equal(await page.$$eval("section.notice li", (found) => found.length), 2);
  await look(page);
  await page.context().close();
});

inEachWay("what 1C said by itself is put aside and put back", async (way, look) => {
  const number = await sendOne(newOrder());
  const page = await visitor({ ...way, who: DISPATCHER });
  await until("1C was sent it", async () => {
    await page.goto(`${ORDERS}/${number}`);
    return (await text(page)).includes("АВ-");
  });
  await report([{ number, error: "нет такого района" }]);
  await page.goto(`${ORDERS}/${number}`);
  await look(page);
  await leads(page, () => page.click("form[action$=put_aside] button"));
  assert.match(await text(page), /Отмечено: отказ разобран/);
  await look(page);
  await page.goto(`${ORDERS}?withheld=1`);
  assert.ok((await text(page)).includes(String(number)));
  await look(page);
  await page.goto(`${ORDERS}/${number}`);
  await leads(page, () => page.click("form[action$=put_back] button"));
  assert.match(await text(page), /Снова в списке/);
  await page.context().close();
});

inEachWay("a list of rejected orders is sent again, to its end", async (way, look) => {
  const page = await visitor({ ...way, who: DISPATCHER });
  await page.goto(`${BASE}/rejected`);
  await page.click(".sure > summary");
  await look(page);
  await leads(page, () => page.click(".sure button.main"));
  await page.waitForURL(/sent=\d+/);
  await look(page);
  await page.context().close();
});

inEachWay("a product is told what it is, and the lines get it", async (way, look) => {
  const product = `cooler-${way.script}`;
  const line = { name: "Кулер", product_id: product, price: 900, quantity: 1 };
  const number = await sendOne(newOrder({ order_item_list: [line] }));
  const page = await visitor({ ...way, who: DISPATCHER });
  await page.goto(`${BASE}/unmatched`);
  await leads(page, () => page.click(`a:text-is("${product}")`));
  await page.fill("main [type=search]", "вода");
  await leads(page, () => page.click("main .search button"));
  await look(page);
  await leads(page, () => page.locator("a[href*='product=']").first().click());
  assert.match(await text(page), /1 строка в 1 открытом заказе/);
  await look(page);
  await leads(page, () => page.click("button.main"));
  await page.waitForURL(/filled=1/);
  await look(page);
  await page.goto(`${ORDERS}/${number}`);
  assert.doesNotMatch(await text(page), /товар не найден/);
  await page.goto(`${BASE}/unmatched`);
  assert.ok(!(await text(page)).includes(product));
  await page.context().close();
});

inEachWay("a product that was chosen wrongly is taken back, and the lines are empty again", async (way, look) => {
  const product = `filter-${way.script}`;
  const line = { name: "Фильтр", product_id: product, price: 90, quantity: 1 };
  const number = await sendOne(newOrder({ order_item_list: [line] }));
  const page = await visitor({ ...way, who: DISPATCHER });
  await page.goto(`${BASE}/unmatched/product?id=${product}&q=вода`);
  await leads(page, () => page.locator("a[href*='product=']").first().click());
  await leads(page, () => page.click("button.main"));
  await page.waitForURL(/filled=1/);
  await page.goto(`${BASE}/unmatched`);
  await page.locator("main details > summary").first().click();
  await look(page);
  await leads(page, () => page.click(`tr:has-text("${product}") a[href*="back="]`));
  assert.match(await text(page), /1 строка в 1 открытом заказе/);
  await look(page);
  await leads(page, () => page.click("button.danger"));
  await page.waitForURL(/done=taken_back/);
  assert.match(await text(page), /Сопоставление отменено\. Очищено строк: 1\./);
  assert.ok((await page.innerText("main .unmatched")).includes(product), "it is asked about again");
  await look(page);
  await page.goto(`${ORDERS}/${number}`);
  assert.match(await text(page), /товар не найден/);
  assert.match(await page.innerText(".history"), /Строка 1, Товар: \d+ .*→ –/);
  await page.context().close();
});

inEachWay("a product is left empty on purpose, and put back", async (way, look) => {
  const product = `gift-${way.script}`;
  await sendOne(newOrder({ order_item_list: [{ name: "Подарок", product_id: product, price: 0, quantity: 1 }] }));
  const page = await visitor({ ...way, who: DISPATCHER });
  await page.goto(`${BASE}/unmatched`);
  await leads(page, () => page.click(`a:text-is("${product}")`));
  await leads(page, () => page.click("button[name=leave]"));
  await page.goto(`${BASE}/unmatched`);
  assert.ok(!(await page.innerText("main .unmatched").catch(() => "")).includes(product));
  await page.locator("main details > summary").last().click();
  await look(page);
  await leads(page, () => page.click(`tr:has-text("${product}") button`));
  await page.goto(`${BASE}/unmatched`);
  assert.ok((await page.innerText("main .unmatched")).includes(product));
  await page.context().close();
});

inEachWay("what 1C refused is sent again from its list", async (way, look) => {
  const page = await visitor({ ...way, who: DISPATCHER });
  await page.goto(`${BASE}/refused`);
  await leads(page, () => page.locator("tr button").first().click());
  assert.ok(await page.isVisible(".notice"));
  await look(page);
  await page.context().close();
});

inEachWay("an order that 1C need not have any more waits for nobody, until somebody sends it again", async (way, look) => {
  const number = await sendOne(newOrder({ payment_type: "barter" }));
  const page = await visitor({ ...way, who: DISPATCHER });
  const row = `tr:has(a:text-is("${number}"))`;
  await until("refused by the 1C", async () => {
    await page.goto(`${BASE}/refused`);
    return page.isVisible(row);
  });
  await leads(page, () => page.click(`${row} button[name=order]`));
  assert.match(await text(page), /Больше не отправляется и человека не ждёт/);
  assert.equal(await page.isVisible(row), false);
  await look(page);
  await page.goto(`${ORDERS}/${number}`);
  assert.match(await text(page), /Отказ, больше не отправляется\s+Не найден вид оплаты «barter»/);
  const told = await page.innerText(".history");
  assert.match(told, /Больше не отправлять\s+Анна\s+→ 1c/);
  assert.match(told, /Не взят\s+1c\s+Не найден вид оплаты «barter»/);
  await look(page);
  // The way back, and once more from here.
  await leads(page, () => page.click("form[action$=resend] button"));
  await until("refused again", async () => {
    await page.goto(`${ORDERS}/${number}`);
    return page.isVisible("form[action$=withhold] button");
  });
  await leads(page, () => page.click("form[action$=withhold] button"));
  assert.match(await text(page), /Отказ, больше не отправляется/);
  await page.context().close();
});

inEachWay("the list is taken away as a table", async (way) => {
  const formula = '=HYPERLINK("http://evil.example";"x")';
  await sendOne(newOrder({ client: { username: formula, phone: "+7 901 222-33-44" } }));
  const page = await visitor({ ...way, who: DISPATCHER });
  await page.goto(`${ORDERS}?status=new`);
  const save = async (format) => {
    const [download] = await Promise.all([page.waitForEvent("download"), page.click(`button[value=${format}]`)]);
    return readFile(await download.path());
  };
  const csv = (await save("csv")).toString("utf8");
  assert.ok(csv.startsWith("\ufeff") && csv.includes(";"), csv.slice(0, 200));
  // No cell is a formula, whatever was sent.
  assert.ok(csv.includes(formula.replaceAll('"', '""')), csv);
  assert.doesNotMatch(csv, /(^|;|\n)"?[=+@\-\t]/, csv);
  assert.equal((await save("xlsx")).subarray(0, 2).toString(), "PK");
  // The page is as it was, and both may be had again.
  await save("csv");
  assert.deepEqual(page.problems, []);
  await page.context().close();
});

inEachWay("a client's data is found, handed out and erased", async (way, look) => {
  const order = newOrder({ status: "completed" });
  await sendOne(order);
  const page = await visitor(way);
  await page.goto(`${BASE}/clients`);
  await page.fill("main [type=search]", order.client.phones[0]);
  await leads(page, () => page.click("main .search button"));
  assert.ok((await text(page)).includes(order.client.username));
  await look(page);
  const [download] = await Promise.all([page.waitForEvent("download"), page.click("form[action$=export] button")]);
  assert.ok((await readFile(await download.path(), "utf8")).includes(order.client.username));
  await leads(page, () => page.click('a[href$="/erase"]'));
  assert.ok((await text(page)).includes(order.client.username));
  await look(page);
  await leads(page, () => page.click("button.danger"));
  assert.match(await text(page), /Данные клиента стёрты\./);
  assert.match(await text(page), new RegExp(`Данные клиента стёрты \\d\\d\\.\\d\\d\\.\\d{4} \\d\\d:\\d\\d, ${ADMIN}`));
  assert.ok(!(await text(page)).includes(order.client.username));
  await look(page);
  await page.context().close();
});
