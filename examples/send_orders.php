<?php
/**
 * Отправляет заказы в aqua-orders и повторяет отправку, когда это имеет смысл. PHP 7.4 или новее, модуль curl.
 *
 *   php send_orders.php ФАЙЛ АДРЕС    логин и пароль — в переменных ORDERS_LOGIN и ORDERS_PASSWORD
 *
 * Код возврата: 0 — приняты все заказы, 1 — некоторые отклонены, 2 — пакет не доставлен.
 * В своём сайте подключите этот файл и зовите sendOrders() из очереди или по расписанию: она может ждать минутами.
 */

declare(strict_types=1);

/** Запрос неверен сам по себе (адрес, пароль, JSON): повтор не поможет. */
final class RequestRejected extends RuntimeException
{
}

/**
 * Отправляет пакет (JSON-массив заказов) и возвращает ответ по каждому: id заказа => ['success' => …, …].
 *
 * Если ответа так и нет, бросает RuntimeException: оставьте пакет в очереди и пришлите его позже, не меняя.
 */
function sendOrders(
    string $batch,
    string $url,
    ?string $login = null,
    string $password = '',
    int $attempts = 6,
    int $timeout = 60    // секунд: больше, чем время на ответ у сервиса
): array {
    $retryAfter = 0;
    $curl = curl_init($url);
    curl_setopt_array($curl, [
        CURLOPT_POST => true,
        CURLOPT_POSTFIELDS => $batch,
        // По X-Request-Id администратор сервиса найдёт этот пакет в журнале.
        CURLOPT_HTTPHEADER => [
            'Content-Type: application/json; charset=utf-8',
            'X-Request-Id: ' . bin2hex(random_bytes(8)),
        ],
        // Иначе libcurl после обрыва старого соединения сама пошлёт пакет ещё раз, мимо счёта попыток.
        CURLOPT_FORBID_REUSE => true,
        CURLOPT_RETURNTRANSFER => true,
        CURLOPT_ENCODING => '',    // принимаем и сжатый ответ
        CURLOPT_CONNECTTIMEOUT => min(10, $timeout),
        CURLOPT_TIMEOUT => $timeout,
        CURLOPT_HEADERFUNCTION => function ($curl, string $line) use (&$retryAfter): int {
            if (preg_match('/^Retry-After:\s*(\d+)/i', $line, $match)) {
                $retryAfter = (int) $match[1];
            }
            return strlen($line);
        },
        // Проверка сертификата включена и так. Не выключайте её: с пакетом уходят пароль и данные людей.
        CURLOPT_SSL_VERIFYPEER => true,
        CURLOPT_SSL_VERIFYHOST => 2,
    ]);
    if ($login !== null) {
        curl_setopt_array($curl, [
            CURLOPT_HTTPAUTH => CURLAUTH_BASIC,
            CURLOPT_USERNAME => $login,
            CURLOPT_PASSWORD => $password,
        ]);
    }
    for ($attempt = 1, $pause = 2; ; $attempt++, $pause = min($pause * 2, 60)) {
        $retryAfter = 0;
        $text = curl_exec($curl);
        $status = (int) curl_getinfo($curl, CURLINFO_RESPONSE_CODE);
        $answer = $text === false ? null : json_decode($text, true);
        if ($status === 200 && is_array($answer['data'] ?? null)) {
            return $answer['data'];
        }
        if (in_array(curl_errno($curl), [CURLE_URL_MALFORMAT, CURLE_UNSUPPORTED_PROTOCOL], true)) {
            throw new RequestRejected(curl_error($curl));    // в адресе опечатка
        }
        $reason = $text === false
            ? curl_error($curl)
            : "HTTP $status: " . ($answer['message'] ?? substr($text, 0, 200));
        // Повторяется тот же пакет и только тогда, когда он мог не дойти: обрыв, таймаут, 408, 5xx, ответ не целиком.
        if ($text !== false && $status !== 200 && $status !== 408 && $status < 500) {
            throw new RequestRejected($reason);
        }
        if ($attempt >= $attempts) {
            throw new RuntimeException("попыток: $attempt, последняя: $reason");
        }
        $wait = max($pause, $retryAfter);
        fwrite(STDERR, "Попытка $attempt: $reason — повтор через $wait с\n");
        sleep($wait);
    }
}

/** Печатает, что стало с каждым заказом. Возвращает, все ли приняты. */
function printResults(array $results): bool
{
    $allAccepted = true;
    foreach ($results as $id => $result) {
        if ($result['success']) {
            // Сохраните номера: в следующий раз они пригодятся как external_id. Статус верен только отсюда.
            $order = $result['data'][0];
            echo $order['id'] === null // адрес с ?dry_run=true
                ? "$id: был бы принят; это проверка, ничего не сохранено\n"
                : "$id: принят, наш номер {$order['id']}, статус {$order['status']}\n";
        }
        foreach ($result['warnings'] ?? [] as $warning) {
            echo "$id: внимание, {$warning['field']} — {$warning['message']} ({$warning['code']})\n";
        }
        foreach ($result['errors'] ?? [] as $error) {
            // Отклонённый заказ не пройдёт, пока его не исправят: повторять его как есть незачем.
            echo "$id: не принят, {$error['field']} — {$error['message']} ({$error['code']})\n";
        }
        $allAccepted = $allAccepted && $result['success'];
    }
    return $allAccepted;
}

function main(array $arguments): int
{
    if (count($arguments) !== 3) {
        fwrite(STDERR, "Как запускать: php {$arguments[0]} ФАЙЛ АДРЕС\n");
        return 2;
    }
    $batch = @file_get_contents($arguments[1]);
    if ($batch === false) {
        fwrite(STDERR, "Файл {$arguments[1]} не читается.\n");
        return 2;
    }
    $setting = static function (string $name, ?string $default): ?string {
        $value = getenv($name);
        return $value === false || $value === '' ? $default : $value;
    };
    try {
        $results = sendOrders(
            $batch,
            $arguments[2],
            $setting('ORDERS_LOGIN', null),
            $setting('ORDERS_PASSWORD', ''),
            (int) $setting('ORDERS_ATTEMPTS', '6'),
            (int) $setting('ORDERS_TIMEOUT', '60')
        );
    } catch (RequestRejected $error) {
        fwrite(STDERR, "Пакет не принят, повторять его как есть незачем: {$error->getMessage()}\n");
        return 2;
    } catch (Throwable $error) {
        fwrite(STDERR, "Пакет не доставлен, пришлите его позже ещё раз: {$error->getMessage()}\n");
        return 2;
    }
    return printResults($results) ? 0 : 1;
}

// Только когда запущен сам этот файл, а не когда он подключён к сайту.
if (PHP_SAPI === 'cli' && realpath($_SERVER['SCRIPT_FILENAME']) === __FILE__) {
    exit(main($argv));
}
