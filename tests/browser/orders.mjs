// What senders send: a week of ordinary orders, some that are refused or have remarks, and one that means harm.

const WATER = "78e66cef-ae2c-11e6-9bf1-f8a9634f667f";
const people = [
  ["Иванова Анна Сергеевна", "+7 912 145-08-32"],
  ["Попов Андрей", "8 (904) 271-55-10"],
  ["ООО «Северный ветер»", "+7 8212 29-14-77"],
  ["Канева Ольга Петровна", "+7 908 328-08-33"],
  ["Терентьев Илья", "89125557788"],
  ["Мария", "+7 950 566-12-04"],
  ["Детский сад № 24", "+7 8212 31-20-06"],
  ["Рочев Николай Иванович", "+7 904 100-42-19"],
];
const streets = ["Кутузова", "Коммунистическая", "Октябрьский проспект", "Морозова", "Тентюковская", "Карла Маркса"];
const comments = ["Позвонить за час", "", "Код домофона 45К", "", "", "Оставить у двери, деньги под ковриком"];
const HOUR = 3_600_000;

const iso = (time) => new Date(time).toISOString();
const pick = (list, n) => list[n % list.length];

/// An order that nothing is wrong with; the n-th before now.
export function order(n, changes = {}) {
  const created = Date.now() - n * 1.7 * HOUR;
  const day = new Date(created + 24 * HOUR).toISOString().slice(0, 10);
  const from = pick(["09", "12", "15"], n);
  const quantity = 1 + (n % 4);
  const [username, phone] = pick(people, n);
  const house = String(3 + ((n * 7) % 90));
  const street = pick(streets, n);
  return {
    id: `S-${10_500 - n}`,
    status: n < 9 ? "new" : n < 30 ? "approved" : n % 11 === 0 ? "removed" : "completed",
    created_at: iso(created),
    total: quantity * 355,
    payment_type: pick(["cash", "card", "cash"], n),
    comment: pick(comments, n),
    count_of_returned_bottles: quantity,
    shipping_date_from: `${day}T${from}:00:00+03:00`,
    shipping_date_to: `${day}T${Number(from) + 3}:00:00+03:00`,
    order_item_list: [{ name: "Вода 19 л. Ваш бренд", product_id: WATER, price: 355, quantity }],
    client: { id: `client-${n % people.length}`, username, phones: [phone] },
    shipping_address: {
      city: "Сыктывкар",
      street,
      house,
      room: String(1 + ((n * 13) % 80)),
      str: `Сыктывкар, ${street}, ${house}`,
    },
    ...changes,
  };
}

/// The same of somebody whom no other order is of, under an id of its own.
let strangers = 0;
export function newOrder(changes = {}) {
  const id = `T-${++strangers}`;
  const client = { id: `client of ${id}`, username: `Проверка ${id}`, phones: [`+7 901 000-${1000 + strangers}`] };
  return order(0, { id, client, ...changes });
}

/// A hundred orders: two pages and a bit.
export function someOrders() {
  const orders = Array.from({ length: 110 }, (_, n) => order(n));
  const lines = (n, ...more) => orders[n].order_item_list.push(...more);
  // Products that we do not have.
  for (const n of [2, 5, 14]) lines(n, { name: "Помпа механическая", product_id: "pump-01", price: 450, quantity: 1 });
  lines(7, { name: "Стаканы, 100 шт.", product_id: "cups-100", price: "189.90", quantity: 2 });
  // Values that cannot be read: remarks.
  orders[3].coins = "много";
  orders[6].client = { ...orders[6].client, email: "нет" };
  orders[4].payment_type = "barter";
  const refused = [
    order(0, { id: "S-20001", total: -10 }),
    order(1, { id: "S-20002", shipping_date_from: "31.02.2026 10:00" }),
    order(2, { id: "S-20003", shipping_address: {} }),
    order(3, { id: "S-20004", order_item_list: [] }),
    order(4, { id: "S-20005", total: "дорого", client: { username: "" } }),
  ];
  return [...orders, ...refused];
}

/// A value that would do harm in a page, in a table, or to the direction of the text around it.
export const harm = (name) =>
  `${name}<script>window.harmed = 1</script><img src=x onerror="window.harmed = 1">"'=HYPERLINK("http://evil.example";"x")\u202egpj\u200f.exe`;
/// The same as a person is to see it.
export const shownHarm = (name) => harm(name).replace("\u202e", "[U+202E]").replace("\u200f", "[U+200F]");

const long = (name) => `${name}${"щ".repeat(200)}`;

/// An order that has harm in every field that takes text, and words that no line has room for.
export function hostile() {
  return order(60, {
    id: harm("id"),
    status: "new",
    payment_type: harm("payment"),
    comment: `${harm("comment")}\n${long("comment")}`,
    order_item_list: [
      { name: harm("item"), product_id: harm("product"), price: "9999999.99", quantity: 99 },
      { name: long("item"), product_id: long("product"), price: 1, quantity: 1 },
    ],
    client: {
      id: harm("client"),
      username: harm("name"),
      comment: harm("about"),
      email: `${"a".repeat(60)}@example.org`,
      phones: ["+7 908 328-08-32", "+7 901 555-66-77"],
    },
    shipping_address: { city: harm("city"), street: harm("street"), house: "1", str: harm("str") },
  });
}
