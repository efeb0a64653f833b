<?php
// Receives the unified event over HTTP and verifies its Standard Webhooks signature by hand: no library is
// needed. It looks at nothing before the signature holds, and ships the goods once for each event id.

$shop = __DIR__ . '/data';
// whsec_…, the same secret as in the gateway's `secret_file`; during a change, one a line.
$secrets = file($shop . '/webhook_secret', FILE_IGNORE_NEW_LINES | FILE_SKIP_EMPTY_LINES);
// Older and newer messages are refused, so that nobody can send a captured one again later.
const WINDOW_SECONDS = 300;

function refuse(string $why): never
{
    http_response_code(400);
    exit($why);
}

// 1. The signature: id, time and the exact bytes of the body, joined by dots.
$body = file_get_contents('php://input');
$id = $_SERVER['HTTP_WEBHOOK_ID'] ?? '';
$time = $_SERVER['HTTP_WEBHOOK_TIMESTAMP'] ?? '';
$signatures = explode(' ', $_SERVER['HTTP_WEBHOOK_SIGNATURE'] ?? '');
if ($id === '' || !ctype_digit($time) || abs(time() - (int) $time) > WINDOW_SECONDS) {
    refuse('no id, or a time that is not now');
}
$genuine = false;
foreach ($secrets as $secret) {
    $key = base64_decode(substr(trim($secret), strlen('whsec_')), true);
    if ($key === false || strlen($key) < 24) {
        continue;
    }
    $expected = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$time.$body", $key, true));
    foreach ($signatures as $signature) {
        // hash_equals takes the same time wherever the two differ.
        $genuine = hash_equals($expected, $signature) || $genuine;
    }
}
if (!$genuine) {
    refuse('the signature does not match');
}
$event = json_decode($body, true, 64, JSON_THROW_ON_ERROR);

// 2. Once for each event: it may come again under the same id. The file lock stands for the unique key that
//    a shop's database has.
$orders = fopen($shop . '/events.log', 'a+');
flock($orders, LOCK_EX);
rewind($orders);
if (!str_contains(stream_get_contents($orders), $event['id'] . "\n")) {
    if ($event['type'] === 'payment.succeeded') {
        fwrite($orders, "ship {$event['data']['order_no']} {$event['data']['amount']['text']}\n");
    }
    fwrite($orders, $event['id'] . "\n");
}
flock($orders, LOCK_UN);

// 3. Any status from 200 to 299 confirms.
http_response_code(204);
