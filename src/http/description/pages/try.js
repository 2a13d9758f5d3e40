// /try: posts orders to be checked, and shows what would become of each.
import { both, description, element, language, recall, remember } from "/docs/page.js";

const field = (id) => document.getElementById(id);
const result = field("result");

async function fillExample() {
  const api = await description();
  const call = api.paths["/{publication}/hs/AquaDeliveri/getOrdersURL"].post;
  const value = call.requestBody.content["application/json"].examples.document.value;
  field("orders").value = JSON.stringify(value, null, 2);
}

/** `Basic …` as the service wants it: in UTF-8, which btoa alone does not know. */
function credentials(login, password) {
  const bytes = new TextEncoder().encode(`${login}:${password}`);
  return `Basic ${btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""))}`;
}

async function ask() {
  const publication = field("publication").value.trim();
  const headers = { "Content-Type": "application/json; charset=utf-8", "Accept-Language": language() };
  if (field("login").value) headers.Authorization = credentials(field("login").value, field("password").value);
  const text = field("orders").value;
  // As it was written: what JSON.parse cannot hold, the service shall see all the same.
  const sent = text.trimStart().startsWith("{") ? `[${text}]` : text;
  const answer = await fetch(`/${encodeURIComponent(publication)}/hs/AquaDeliveri/getOrdersURL?dry_run=true`, {
    method: "POST",
    headers,
    body: sent,
    // Without this the browser would ask for a password by itself.
    credentials: "omit",
    cache: "no-store",
    redirect: "error",
  });
  const body = await answer.json().catch(() => {
    // Somebody on the way, and not the service.
    throw new Error(`HTTP ${answer.status}`);
  });
  // Shown as a check only where the service says that it was one.
  if (answer.ok && answer.headers.get("X-Dry-Run") !== "true") {
    throw new Error("X-Dry-Run?");
  }
  return { status: answer.status, id: answer.headers.get("X-Request-Id"), body, sent };
}

function said(entries, looks) {
  return element("ul", { class: "said" }, entries.map(({ field, code, message }) =>
    element("li", { class: looks },
      field ? [element("code", { class: "field" }, field), " — "] : null,
      message, " ", element("code", { class: "muted" }, code))));
}

function badge(looks, ru, en) {
  return element("span", { class: `badge ${looks}` }, both(ru, en));
}

/** A number of ours; null is one that would be new. */
function number(value) {
  return value === null ? both("новый", "new") : `№ ${value}`;
}

/** The order as it was answered, laid out when somebody wants to see it: there may be thousands. */
function whole(order) {
  const details = element("details", {}, element("summary", {}, both("Заказ целиком, как в ответе", "The whole order, as answered")));
  details.addEventListener("toggle", () => details.append(element("pre", {}, JSON.stringify(order, null, 2))), { once: true });
  return details;
}

function stored(order) {
  const { client, shipping_address: address } = order;
  const lines = [
    [["Номер заказа", "Order's number"], number(order.id)],
    [["Состояние", "Status"], order.status],
    [["Клиент", "Client"], [client.username, ", ", number(client.id), client.phones.length ? `, ${client.phones.join(", ")}` : ""]],
    [["Доставка", "Delivery"], [`${order.shipping_date_from} … ${order.shipping_date_to}`]],
    [["Адрес", "Address"], [address.name, ", ", number(address.id)]],
    [["Сумма", "Total"], String(order.total)],
    [["Строки", "Lines"], order.order_item_list.map((item) => element("div", {},
      item.name ?? "—", ` × ${item.quantity} · ${item.price} · `,
      item.product_id === null ? both("товар не найден", "product not found") : [...both("товар № ", "product № "), String(item.product_id)]))],
  ];
  return [
    element("dl", {}, lines.flatMap(([title, value]) => [element("dt", {}, both(...title)), element("dd", {}, value)])),
    whole(order),
  ];
}

function card([key, entry]) {
  const title = element("code", {}, key);
  if (!entry.success) {
    const count = entry.errors.length;
    return element("article", { class: "card bad" },
      element("h3", {}, title, badge("bad", `был бы отклонён, ошибок: ${count}`, `would be rejected, faults: ${count}`)),
      said(entry.errors, "bad"));
  }
  const warnings = entry.warnings ?? [];
  return element("article", { class: "card good" },
    element("h3", {}, title, badge("good", "был бы принят", "would be accepted"),
      warnings.length ? badge("warn", `предупреждений: ${warnings.length}`, `warnings: ${warnings.length}`) : null),
    warnings.length ? said(warnings, "warn") : null,
    stored(entry.data[0]));
}

function failure({ status, body, id }) {
  const code = body.errors?.[0]?.code ?? "";
  return element("article", { class: "card bad" },
    element("h3", {}, both("Запрос не обработан", "The request was not processed"), badge("bad", `HTTP ${status}`, `HTTP ${status}`)),
    said([{ field: "", code, message: body.message ?? "" }], "bad"),
    code === "unauthorized"
      ? element("p", {}, both("Проверьте имя публикации, логин и пароль.", "Check the publication's name, the login and the password."))
      : null,
    element("p", { class: "muted" }, "X-Request-Id: ", element("code", {}, id ?? "—")));
}

/** Where each order first stands in what was sent: in an object, JavaScript puts keys that are whole numbers first. */
function placesOf(sent) {
  const places = new Map();
  try {
    JSON.parse(sent).forEach((order, place) => {
      for (const key of [String(order?.id), `#${place}`]) {
        if (!places.has(key)) places.set(key, place);
      }
    });
  } catch {
    // What it cannot read stays in the order of the answer.
  }
  return places;
}

function shown(answer) {
  if (answer.status !== 200) return [failure(answer)];
  const places = placesOf(answer.sent);
  const place = ([key]) => places.get(key) ?? places.size;
  const entries = Object.entries(answer.body.data).sort((one, other) => place(one) - place(other));
  const good = entries.filter(([, entry]) => entry.success).length;
  const warned = entries.filter(([, entry]) => entry.warnings?.length).length;
  const bad = entries.length - good;
  return [
    element("h2", {}, both(
      `Были бы приняты: ${good}${warned ? `, из них с предупреждениями: ${warned}` : ""}; отклонены: ${bad}`,
      `Would be accepted: ${good}${warned ? `, ${warned} of them with warnings` : ""}; rejected: ${bad}`)),
    element("p", { class: "muted" }, both("Это проверка: ничего не сохранено.", "This was a check: nothing is stored.")),
    entries.map(card),
  ].flat();
}

async function check() {
  field("check").disabled = true;
  try {
    result.replaceChildren(...shown(await ask()));
  } catch (error) {
    result.replaceChildren(element("article", { class: "card bad" },
      element("h3", {}, both("Нет понятного ответа", "No answer that makes sense")),
      element("p", {}, String(error))));
  } finally {
    field("check").disabled = false;
  }
}

field("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  remember("publication", field("publication").value.trim());
  await check();
  result.focus({ preventScroll: true });
  result.scrollIntoView({ block: "start" });
});
field("example").addEventListener("click", () => fillExample().catch(() => {}));
// The texts of an answer are in the language that was asked for.
document.addEventListener("language", () => {
  if (result.hasChildNodes()) check();
});

field("publication").value = new URLSearchParams(location.search).get("publication") ?? recall("publication") ?? "demodelivery";
if (!field("orders").value) fillExample().catch(() => {});
