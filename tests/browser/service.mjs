// The service under test: the real program, two instances of it on a PostgreSQL that the first one runs, and a 1C that takes
// orders. All of it in a folder of its own, which goes with it.
import { execFileSync, spawn } from "node:child_process";
import { chmod, cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { after } from "node:test";

import { harm, hostile, someOrders } from "./orders.mjs";

export const PASSWORD = "пароль-42";
/// A dispatcher of one publication, and an admin of all.
export const DISPATCHER = "Анна";
export const ADMIN = "boss";

const checkout = fileURLToPath(new URL("../../", import.meta.url));
const program = process.env.AQUA_PROGRAM ?? join(checkout, "target/debug/aqua-orders");

const settings = (hash, oneC) => `
listen = "127.0.0.1:0"
times = { stop = 5 }

[operator]
listen = "127.0.0.1:0"

[[operator.user]]
login = "${DISPATCHER}"
password_hash = "${hash}"
role = "dispatcher"
publications = ["demodelivery"]

[[operator.user]]
login = "${ADMIN}"
password_hash = "${hash}"
role = "admin"

[[publication]]
name = "demodelivery"
anonymous = true
first_order_number = 50894
users = [{ login = "1c", password_hash = "${hash}", role = "back_office" }]
demo_data = "demo"

[[publication.target]]
name = "1c"
protocol = "one_c"
url = "${oneC}/vodavoz/hs/AquaDeliveri/getOrdersURL"

[[publication]]
name = "доставка"
anonymous = true
`;

/// A 1C that gives each order a number of its own, and takes neither barter nor the order that means harm.
async function startOneC() {
  let last = 122;
  const numbers = new Map();
  const verdict = (order) => {
    const refuse = (message) => ({ success: false, data: [], message });
    if (order.payment_type === "barter") return refuse("Не найден вид оплаты «barter»");
    if (order.id === harm("id")) return refuse(harm("refused"));
    if (!numbers.has(order.id)) numbers.set(order.id, `АВ-${String(++last).padStart(6, "0")}`);
    return { success: true, data: [{ id: numbers.get(order.id), status: order.status }] };
  };
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const orders = JSON.parse(Buffer.concat(chunks));
    const data = Object.fromEntries(orders.map((order) => [order.id, verdict(order)]));
    response.end(JSON.stringify({ success: true, data }));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { server, url: `http://127.0.0.1:${server.address().port}` };
}

const running = [];
let log = "";

/// Runs an instance until it serves; returns where.
function serve(folder, environment) {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(AQUA_|DATABASE_URL|RUST_LOG)/.test(name));
  const env = { ...Object.fromEntries(inherited), AQUA_CONFIG: "aqua.toml", ...environment };
  const child = spawn(program, ["serve"], { cwd: folder, env, stdio: ["ignore", "ignore", "pipe"] });
  const ended = new Promise((resolve) => child.on("close", (code, signal) => resolve(code ?? signal)));
  running.push({ child, ended });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    // Every later test fails then; this is why.
    ended.then((code) => running.some((one) => one.child === child) && console.error(`an instance ended with ${code}:\n${log.slice(-4000)}`));
    ended.then((code) => reject(new Error(`the service ended with ${code}:\n${log}`)));
    child.stderr.setEncoding("utf8").on("data", (text) => {
      log += text;
      const said = /\bserving\b.*? listen=(\S+) operator=(\S+)/.exec(text) ?? [];
      if (said.length > 0) resolve({ orders: `http://${said[1]}`, console: `http://${said[2]}` });
    });
  });
}

// Whoever ends this process ends them, too.
process.on("exit", () => running.forEach(({ child }) => child.kill()));
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => process.exit(1));

async function start() {
  const folder = await mkdtemp("/tmp/aqua-browser-");
  const oneC = await startOneC();
  const stop = async () => {
    // The first one last, for it has the database.
    for (const { child, ended } of running.splice(0).reverse()) {
      child.kill();
      await ended;
    }
    oneC.server.close();
    oneC.server.closeAllConnections();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    // Started as root, the service and its PostgreSQL run as somebody else.
    await chmod(folder, 0o755);
    await cp(join(checkout, "config/demo"), join(folder, "demo"), { recursive: true });
    const hash = execFileSync(program, ["hash-password"], { input: `${PASSWORD}\n`, encoding: "utf8" }).trim();
    await writeFile(join(folder, "aqua.toml"), settings(hash, oneC.url));
    const postgres = join(folder, "postgres");
    const first = await serve(folder, { AQUA_DATA_DIR: postgres });
    const url = (role) => `postgres://${role}@localhost/aqua_orders?host=${encodeURIComponent(postgres)}`;
    const second = await serve(folder, { DATABASE_URL: url("aqua_orders"), AQUA_CONSOLE_DATABASE_URL: url("aqua_console") });
    return { ...first, other: second.console, stop, log: () => log };
  } catch (error) {
    await stop();
    throw error;
  }
}

export const service = await start();
after(service.stop);

/// Calls the service as a sender, or as the 1C; returns `data`.
async function call(path, body, headers = {}) {
  const response = await fetch(service.orders + path, { method: "POST", headers, body: JSON.stringify(body) });
  const answer = await response.json();
  if (!answer.success) throw new Error(`${path}: ${JSON.stringify(answer)}`);
  return answer.data;
}

/// Sends orders; returns their verdicts, as the service gives them.
export const send = (orders, publication = "demodelivery") =>
  call(`/${encodeURIComponent(publication)}/hs/AquaDeliveri/getOrdersURL`, orders);

/// Sends one that is taken; returns its number.
export async function sendOne(order) {
  const verdict = (await send([order]))[order.id];
  if (!verdict.success) throw new Error(JSON.stringify(verdict));
  return Number(verdict.data[0].id);
}

/// What the 1C says of orders: `[{ number, version, error, … }]`.
export const report = (results) =>
  call("/demodelivery/hs/AquaDeliveri/v1/orders/results", results, {
    Authorization: `Basic ${Buffer.from(`1c:${PASSWORD}`).toString("base64")}`,
  });

/// Asks until it is so.
export async function until(what, holds) {
  const end = Date.now() + 20_000;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`it never came to this: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

// A week's work, for all tests to look at, and the order that means harm, with all that can be said of an order.
await send(someOrders());
export const hostileOrder = await sendOne(hostile());
await send([{ ...hostile(), total: harm("total") }]);
await report([{ number: hostileOrder, version: 1, receiver_number: harm("1c"), error: harm("error") }]);
