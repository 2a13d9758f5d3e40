// /docs: openapi.json, laid out for people.
import { both, description, element } from "/docs/page.js";

const PATH = "/{publication}/hs/AquaDeliveri/getOrdersURL";
const SENT = ["Order", "OrderItem", "Client", "Address", "ShippingAddress"];
const ANSWERED = [
  "Answer", "Accepted", "Rejected", "Fault", "Warning", "AnsweredOrder", "AnsweredClient", "AnsweredAddress",
  "AnsweredShippingAddress", "AnsweredItem", "BankAccount", "Price", "Failure",
];

const OF_1C = ["Result", "Pushed"];
const TO_1C = ["Feed", "FeedOrder", "Results", "ImportReport", "PushedAnswer"];

const KINDS = {
  string: ["строка", "string"], integer: ["целое", "integer"], number: ["число", "number"],
  boolean: ["true / false", "true / false"], object: ["объект", "object"], array: ["массив", "array"],
};

/** Russian and English of a description: two paragraphs. */
function described(text) {
  const [ru, en] = (text ?? "").split("\n\n");
  return both(ru, (en ?? ru).split("\n")[0]);
}


function nameOf(reference) {
  return reference.split("/").pop();
}

/** What a value may be: its type, and below it the bounds. */
function kind(schema) {
  if (schema.$ref) {
    const name = nameOf(schema.$ref);
    const shown = name.endsWith("Code") ? "code" : name;
    return [element("a", { href: `#${name}` }, shown)];
  }
  const types = [schema.type ?? []].flat();
  const words = (schema.enum ?? []).filter((word) => word !== null && word !== "");
  // Of several types the first is the one that is meant; the others are its spellings.
  if (types[0] === "array") {
    return [...both("массив ", "array of "), ...(schema.items ? kind(schema.items) : [])];
  }
  if (schema.additionalProperties?.$ref) {
    return [...both("объект: ключ → ", "object: key → "), ...kind(schema.additionalProperties)];
  }
  if (types[0] === "boolean" && words.length === 1) return [String(words[0])];
  if (types[0] === "string" && words.length) return [words.join(", ")];
  if (schema.pattern?.startsWith("^[0-9]{4}-")) return both("дата и время", "date and time");
  if (types[0] === "string" && types.includes("boolean")) return both("строка, true или false", "string, true or false");
  return both(...(KINDS[types[0]] ?? ["", ""]));
}

function limits(schema) {
  const said = [];
  if (schema.maxLength) said.push(both(`до ${schema.maxLength} символов`, `up to ${schema.maxLength} characters`));
  if (schema.minimum !== undefined) said.push(both(`${schema.minimum} … ${schema.maximum}`, `${schema.minimum} … ${schema.maximum}`));
  if (schema.maxItems > 1) said.push(both(`до ${schema.maxItems}`, `up to ${schema.maxItems}`));
  return said.map((text) => element("span", { class: "limits" }, text));
}

function table(titles, rows) {
  return element("table", {},
    element("thead", {}, element("tr", {}, titles.map((title) => element("th", { scope: "col" }, both(...title))))),
    element("tbody", {}, rows));
}

/** The fields of an object, and of the objects in it that have no name of their own. */
function flat(schema, prefix = "") {
  return Object.entries(schema.properties ?? {}).flatMap(([name, value]) => {
    const field = `${prefix}${name}`;
    return [[field, value, schema], ...flat(value, `${field}.`), ...flat(value.items ?? {}, `${field}[].`)];
  });
}

function fields(name, schemas, marksRequired) {
  const schema = schemas[name];
  const rows = flat(schema).map(([field, value, owner]) => {
    const must = marksRequired && owner.required?.includes(field.split(".").pop());
    const canBeNull = !marksRequired && [value.type].flat().includes("null");
    return element("tr", {},
      element("td", {}, element("code", {}, field)),
      element("td", { class: "kind" }, kind(value),
        canBeNull ? both(" или null", " or null") : null,
        must ? [" ", element("span", { class: "required" }, both("обязательно", "required"))] : null,
        limits(value)),
      element("td", {}, described(value.description ?? schemas[nameOf(value.$ref ?? "")]?.description)));
  });
  return [
    element("h3", { id: name }, element("code", {}, name)),
    element("p", {}, described(schema.description)),
    table([["Поле", "Field"], ["Что", "What"], ["Значение", "Meaning"]], rows),
  ];
}

function codes(name, schema) {
  const list = schema["x-codes"];
  const rows = list.map((code) => element("tr", {},
    code.status ? element("td", {}, String(code.status)) : null,
    element("td", {}, element("code", {}, code.code)),
    element("td", {}, code.ru),
    element("td", { lang: "en" }, code.en)));
  const titles = [["Код", "Code"], ["По-русски", "Russian"], ["По-английски", "English"]];
  if (list[0].status) titles.unshift(["HTTP", "HTTP"]);
  return [element("h3", { id: name }, described(schema.description)), table(titles, rows)];
}

function example(title, value, open) {
  const text = element("pre", {}, JSON.stringify(value, null, 2));
  const details = element("details", {}, element("summary", {}, title), text);
  details.open = open;
  return details;
}

function section(id, title, ...content) {
  return element("section", {}, element("h2", { id }, both(...title)), ...content);
}

/** A call of 1C's: what it is, the parameters of its query, what it takes and answers. */
function called(path, method, operation) {
  const [ru, en] = operation.summary.split(" / ");
  // A file has two forms; what the text says is of both.
  const of = (body) => (body.content["text/csv"] ?? body.content["application/json"]).schema;
  const query = operation.parameters.filter((parameter) => parameter.in === "query");
  const rows = query.map((parameter) => element("tr", {},
    element("td", {}, element("code", {}, parameter.name)),
    element("td", {}, described(parameter.description))));
  const takes = operation.requestBody && of(operation.requestBody);
  return [
    element("p", { class: "call" }, element("code", {}, method.toUpperCase()), " ", element("code", {}, path)),
    element("p", {}, both(ru, en)),
    rows.length ? table([["Параметр", "Parameter"], ["Значение", "Meaning"]], rows) : null,
    element("p", {},
      takes ? [both("Тело: ", "Body: "), takes.items ? kind(takes) : described(takes.description), ". "] : null,
      both("Ответ: ", "Answer: "), kind(of(operation.responses["200"])), "."),
  ];
}

function page(api) {
  const call = api.paths[PATH].post;
  const schemas = api.components.schemas;
  const [ru, en] = call.description.split("\n\n");
  const parameters = call.parameters.map((parameter) => element("tr", {},
    element("td", {}, element("code", {}, parameter.name)),
    element("td", { class: "kind" }, { path: both("в адресе", "in the address"), query: both("в запросе (?)", "in the query (?)"), header: both("заголовок", "header") }[parameter.in]),
    element("td", {}, described(parameter.description))));
  const shell = `curl -sS --data-binary @order.json \\\n  '${location.origin}/demodelivery/hs/AquaDeliveri/getOrdersURL?dry_run=true'`;
  const request = call.requestBody.content["application/json"].examples.document.value;
  const answer = call.responses["200"].content["application/json"].examples.demo.value;
  const contents = [
    ["call", ["Вызов", "The call"]], ["examples", ["Примеры", "Examples"]], ["sent", ["Что присылать", "What is sent"]],
    ["answered", ["Что в ответе", "What is answered"]], ["codes", ["Коды", "Codes"]],
    ["back-office", ["Для 1С", "For 1C"]],
  ];
  const titles = Object.fromEntries(contents);
  return [
    element("p", {}, described(api.info.description)),
    element("nav", { class: "contents" }, element("ul", {}, contents.map(([id, title]) =>
      element("li", {}, element("a", { href: `#${id}` }, both(...title)))))),
    section("call", titles.call,
      element("p", { class: "call" }, element("code", {}, "POST"), " ", element("code", {}, PATH)),
      element("p", {}, both(ru, en)),
      element("p", {}, both(
        "HTTP Basic: логин и пароль публикации в UTF-8; анонимной публикации они не нужны.",
        "HTTP Basic: the publication's login and password in UTF-8; an anonymous publication needs none.")),
      table([["Параметр", "Parameter"], ["Где", "Where"], ["Значение", "Meaning"]], parameters)),
    section("examples", titles.examples,
      element("p", {}, both("Проверить, ничего не сохраняя: ", "Check without storing anything: "),
        element("a", { href: "/try" }, both("на странице проверки", "on the test page")), both(" или так:", " or so:")),
      element("pre", {}, shell),
      example(both("Запрос", "Request"), request, true),
      example(both("Ответ", "Answer"), answer, false)),
    section("sent", titles.sent,
      element("p", {}, both(
        "Число можно прислать строкой (\"355.00\"), id — числом, да и нет — как true, \"true\", 1, \"1\". Дата — \"2026-11-06T11:00:00Z\" или \"2026-11-06 14:00\" по местному времени публикации.",
        "A number may come as a string (\"355.00\"), an id as a number, yes and no as true, \"true\", 1, \"1\". A date is \"2026-11-06T11:00:00Z\" or \"2026-11-06 14:00\", the publication's local time.")),
      SENT.flatMap((name) => fields(name, schemas, true))),
    section("answered", titles.answered,
      element("p", {}, both(
        "Каждое поле есть всегда; предупреждения (warnings) — только когда они есть. При проверке (dry_run=true) номера, которых ещё нет, — null.",
        "Every key is always there; warnings only where there are some. In a dry run (dry_run=true) numbers that are not there yet are null.")),
      ANSWERED.flatMap((name) => fields(name, schemas, false))),
    section("codes", titles.codes,
      element("p", {}, both("Коды не меняются, тексты могут.", "Codes never change, texts may.")),
      ["FaultCode", "WarningCode", "FailureCode"].flatMap((name) => codes(name, schemas[name]))),
    section("back-office", titles["back-office"],
      element("p", {}, both(
        "Этим 1С забирает заказы, сообщает, что с ними стало, и загружает справочники. HTTP Basic: логин с ролью back_office; последний вызов — с токеном (Bearer).",
        "By these 1C takes orders, says what became of them, and loads reference data. HTTP Basic: a login of the role back_office; the last call takes a token (Bearer).")),
      Object.entries(api.paths).filter(([path]) => path !== PATH).flatMap(([path, methods]) =>
        Object.entries(methods).flatMap(([method, operation]) => called(path, method, operation))),
      OF_1C.flatMap((name) => fields(name, schemas, true)),
      TO_1C.flatMap((name) => fields(name, schemas, false))),
  ];
}

const content = document.getElementById("content");
try {
  content.append(...page(await description()));
  // The place that the address names was not there when the browser looked for it.
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
} catch (error) {
  content.append(element("p", {}, both("Описание не загрузилось: ", "The description could not be loaded: "), String(error)));
}
