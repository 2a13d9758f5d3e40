#!/usr/bin/env python3
"""Отправляет заказы в aqua-orders и повторяет отправку, когда это имеет смысл. Python 3.8 или новее, без зависимостей.

    python3 send_orders.py ФАЙЛ АДРЕС    логин и пароль — в переменных ORDERS_LOGIN и ORDERS_PASSWORD

Код возврата: 0 — приняты все заказы, 1 — некоторые отклонены, 2 — пакет не доставлен.
В своём сайте импортируйте send_orders() и зовите её из очереди или по расписанию: она может ждать минутами.
"""

import base64
import http.client
import itertools
import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid


class RequestRejected(Exception):
    """Запрос неверен сам по себе (адрес, пароль, JSON): повтор не поможет."""


class NotDelivered(Exception):
    """Ответа так и нет: оставьте пакет в очереди и пришлите его позже, не меняя."""


class NoRedirects(urllib.request.HTTPRedirectHandler):
    """Без этого urllib превратил бы POST в GET по другому адресу."""

    def redirect_request(self, *_):
        return None


# Сертификат сервера urllib проверяет сам. Не выключайте проверку: с пакетом уходят пароль и данные людей.
opener = urllib.request.build_opener(NoRedirects)


def post(request, timeout):
    """Один запрос: код ответа, заголовки, тело."""
    try:
        with opener.open(request, timeout=timeout) as response:
            return response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def send_orders(batch, url, login=None, password="", attempts=6, timeout=60):
    """Отправляет пакет (JSON-массив заказов, bytes) и возвращает ответ по каждому: id заказа -> {"success": …, …}.

    timeout в секундах — больше, чем время на ответ у сервиса.
    """
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "X-Request-Id": uuid.uuid4().hex,  # по нему администратор сервиса найдёт этот пакет в журнале
    }
    if login is not None:
        headers["Authorization"] = "Basic " + base64.b64encode(f"{login}:{password}".encode()).decode()
    pause = 2
    for attempt in itertools.count(1):
        retry_after = 0
        try:
            request = urllib.request.Request(url, data=batch, headers=headers, method="POST")
            status, answer_headers, text = post(request, timeout)
        except (OSError, http.client.HTTPException) as error:
            reason = f"{type(error).__name__}: {error}"
        else:
            try:
                answer = json.loads(text)
            except ValueError:
                answer = None
            if not isinstance(answer, dict):
                answer = {}
            if status == 200 and isinstance(answer.get("data"), dict):
                return answer["data"]
            reason = f"HTTP {status}: {answer.get('message') or text[:200].decode(errors='replace')}"
            # Повторяется тот же пакет и только если он мог не дойти: обрыв, таймаут, 408, 5xx, ответ не целиком.
            if status not in (200, 408) and status < 500:
                raise RequestRejected(reason)
            after = answer_headers.get("Retry-After", "")
            retry_after = int(after) if after.isdigit() else 0
        if attempt >= attempts:
            raise NotDelivered(f"попыток: {attempt}, последняя: {reason}")
        wait = max(pause, retry_after)
        print(f"Попытка {attempt}: {reason} — повтор через {wait} с", file=sys.stderr)
        time.sleep(wait)
        pause = min(pause * 2, 60)


def print_results(results):
    """Печатает, что стало с каждым заказом. Возвращает, все ли приняты."""
    for order_id, result in results.items():
        if result["success"]:
            # Сохраните номера: в следующий раз они пригодятся как external_id. Статус верен только отсюда.
            order = result["data"][0]
            if order["id"] is None:  # адрес с ?dry_run=true
                print(f"{order_id}: был бы принят; это проверка, ничего не сохранено")
            else:
                print(f"{order_id}: принят, наш номер {order['id']}, статус {order['status']}")
        for warning in result.get("warnings", []):
            print(f"{order_id}: внимание, {warning['field']} — {warning['message']} ({warning['code']})")
        for error in result.get("errors", []):
            # Отклонённый заказ не пройдёт, пока его не исправят: повторять его как есть незачем.
            print(f"{order_id}: не принят, {error['field']} — {error['message']} ({error['code']})")
    return all(result["success"] for result in results.values())


def main(arguments):
    if len(arguments) != 3:
        print(f"Как запускать: {arguments[0]} ФАЙЛ АДРЕС", file=sys.stderr)
        return 2
    try:
        with open(arguments[1], "rb") as file:
            batch = file.read()
        results = send_orders(
            batch,
            arguments[2],
            login=os.environ.get("ORDERS_LOGIN") or None,
            password=os.environ.get("ORDERS_PASSWORD", ""),
            attempts=int(os.environ.get("ORDERS_ATTEMPTS") or 6),
            timeout=int(os.environ.get("ORDERS_TIMEOUT") or 60),
        )
    except RequestRejected as error:
        print(f"Пакет не принят, повторять его как есть незачем: {error}", file=sys.stderr)
        return 2
    except (NotDelivered, OSError, ValueError) as error:
        print(f"Пакет не доставлен, пришлите его позже ещё раз: {error}", file=sys.stderr)
        return 2
    return 0 if print_results(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv))
