/**
 * Отправляет заказы в aqua-orders и повторяет отправку, когда это имеет смысл. Node 18 или новее, без зависимостей.
 *
 *   node send_orders.mjs ФАЙЛ АДРЕС    логин и пароль — в переменных ORDERS_LOGIN и ORDERS_PASSWORD
 *
 * Код возврата: 0 — приняты все заказы, 1 — некоторые отклонены, 2 — пакет не доставлен.
 * В своём сайте импортируйте sendOrders() и зовите её из очереди или по расписанию: она может ждать минутами.
 */

import { randomUUID } from 'node:crypto';
import { realpathSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

/** Запрос неверен сам по себе (адрес, пароль, JSON): повтор не поможет. */
export class RequestRejected extends Error {}

/** Ответа так и нет: оставьте пакет в очереди и пришлите его позже, не меняя. */
export class NotDelivered extends Error {}

/**
 * Отправляет пакет (JSON-массив заказов, строка или Buffer) и возвращает ответ по каждому:
 * { 'id заказа': { success, … } }. timeout в секундах — больше, чем время на ответ у сервиса.
 */
export async function sendOrders(batch, url, { login, password = '', attempts = 6, timeout = 60 } = {}) {
  new URL(url); // в адресе опечатка — узнаем сразу, без повторов
  const headers = {
    'Content-Type': 'application/json; charset=utf-8',
    'X-Request-Id': randomUUID(), // по нему администратор сервиса найдёт этот пакет в журнале
  };
  if (login !== undefined) {
    headers.Authorization = 'Basic ' + Buffer.from(`${login}:${password}`).toString('base64');
  }
  for (let attempt = 1, pause = 2; ; attempt++, pause = Math.min(pause * 2, 60)) {
    let reason;
    let retryAfter = 0;
    try {
      // Сертификат сервера fetch проверяет сам. Не выключайте проверку: с пакетом уходят пароль и данные людей.
      const response = await fetch(url, {
        method: 'POST',
        headers,
        body: batch,
        redirect: 'manual', // иначе POST мог бы стать GET по другому адресу
        signal: AbortSignal.timeout(timeout * 1000),
      });
      const text = await response.text();
      const answer = parse(text);
      if (response.status === 200 && answer?.data) {
        return answer.data;
      }
      reason = `HTTP ${response.status}: ${answer?.message ?? text.slice(0, 200)}`;
      // Повторяется тот же пакет и только тогда, когда он мог не дойти: обрыв, таймаут, 408, 5xx, ответ не целиком.
      if (response.status !== 200 && response.status !== 408 && response.status < 500) {
        throw new RequestRejected(reason);
      }
      retryAfter = Number(response.headers.get('Retry-After')) || 0;
    } catch (error) {
      if (error instanceof RequestRejected) {
        throw error;
      }
      reason = error.cause?.message ?? error.message;
    }
    if (attempt >= attempts) {
      throw new NotDelivered(`попыток: ${attempt}, последняя: ${reason}`);
    }
    const wait = Math.max(pause, retryAfter);
    console.error(`Попытка ${attempt}: ${reason} — повтор через ${wait} с`);
    await sleep(wait * 1000);
  }
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Печатает, что стало с каждым заказом. Возвращает, все ли приняты. */
export function printResults(results) {
  for (const [id, result] of Object.entries(results)) {
    if (result.success) {
      // Сохраните номера: в следующий раз они пригодятся как external_id. Статус верен только отсюда.
      const order = result.data[0];
      console.log(order.id === null // адрес с ?dry_run=true
        ? `${id}: был бы принят; это проверка, ничего не сохранено`
        : `${id}: принят, наш номер ${order.id}, статус ${order.status}`);
    }
    for (const warning of result.warnings ?? []) {
      console.log(`${id}: внимание, ${warning.field} — ${warning.message} (${warning.code})`);
    }
    for (const error of result.errors ?? []) {
      // Отклонённый заказ не пройдёт, пока его не исправят: повторять его как есть незачем.
      console.log(`${id}: не принят, ${error.field} — ${error.message} (${error.code})`);
    }
  }
  return Object.values(results).every((result) => result.success);
}

async function main([file, url, ...rest]) {
  if (url === undefined || rest.length > 0) {
    console.error('Как запускать: node send_orders.mjs ФАЙЛ АДРЕС');
    return 2;
  }
  const { ORDERS_LOGIN, ORDERS_PASSWORD, ORDERS_ATTEMPTS, ORDERS_TIMEOUT } = process.env;
  try {
    const results = await sendOrders(await readFile(file), url, {
      login: ORDERS_LOGIN || undefined,
      password: ORDERS_PASSWORD,
      attempts: Number(ORDERS_ATTEMPTS || 6),
      timeout: Number(ORDERS_TIMEOUT || 60),
    });
    return printResults(results) ? 0 : 1;
  } catch (error) {
    const what = error instanceof RequestRejected
      ? 'Пакет не принят, повторять его как есть незачем'
      : 'Пакет не доставлен, пришлите его позже ещё раз';
    console.error(`${what}: ${error.message}`);
    return 2;
  }
}

// Только когда запущен сам этот файл, а не когда он подключён к сайту.
if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  process.exitCode = await main(process.argv.slice(2));
}
