<?php
// A notify.php as the tutorials write it: verify the signature, look at the status, ship the goods once,
// print the platform's word. It knows nothing of tollbell; the gateway calls it through PHP-FPM with the
// platform's own request.

$shop = __DIR__ . '/data';

// Alipay: every parameter but sign and sign_type, sorted, joined; the fact stands in the form itself.
function alipay(string $shop): ?string
{
    $fields = $_POST;
    $sign = $fields['sign'] ?? '';
    unset($fields['sign'], $fields['sign_type']);
    ksort($fields);
    $pairs = [];
    foreach ($fields as $name => $value) {
        $pairs[] = $name . '=' . $value;
    }
    $key = file_get_contents($shop . '/alipay_public.pem');
    if (openssl_verify(implode('&', $pairs), base64_decode($sign), $key, OPENSSL_ALGO_SHA256) !== 1) {
        return null;
    }
    if (!in_array($fields['trade_status'] ?? '', ['TRADE_SUCCESS', 'TRADE_FINISHED'], true)) {
        return '';
    }
    $refunded = $fields['refund_fee'] ?? '';
    return $refunded !== '' ? "refunded {$fields['out_trade_no']} in all $refunded" : "paid {$fields['out_trade_no']} {$fields['total_amount']}";
}

// WeChat Pay API v3: three lines are signed, the time must be near, the fact is encrypted with the APIv3 key.
function wechat_pay(string $shop): ?string
{
    $body = file_get_contents('php://input');
    $time = $_SERVER['HTTP_WECHATPAY_TIMESTAMP'];
    $signed = "$time\n{$_SERVER['HTTP_WECHATPAY_NONCE']}\n$body\n";
    $key = file_get_contents($shop . '/wechatpay_public.pem');
    if (abs(time() - (int) $time) > 300
        || openssl_verify($signed, base64_decode($_SERVER['HTTP_WECHATPAY_SIGNATURE']), $key, OPENSSL_ALGO_SHA256) !== 1) {
        return null;
    }
    $resource = json_decode($body, true)['resource'];
    $sealed = base64_decode($resource['ciphertext']);
    $secret = trim(file_get_contents($shop . '/wechat_apiv3_key'));
    $plain = openssl_decrypt(substr($sealed, 0, -16), 'aes-256-gcm', $secret, OPENSSL_RAW_DATA, $resource['nonce'], substr($sealed, -16), $resource['associated_data']);
    if ($plain === false) {
        return null;
    }
    $fact = json_decode($plain, true);
    $yuan = fn (int $fen): string => sprintf('%d.%02d', intdiv($fen, 100), $fen % 100);
    return isset($fact['refund_id'])
        ? "refunded {$fact['out_trade_no']} in all {$yuan($fact['amount']['refund'])}"
        : "paid {$fact['out_trade_no']} {$yuan($fact['amount']['total'])}";
}

// 1. The signature. A request that is not genuine gets a failure and does nothing.
$isWechat = isset($_SERVER['HTTP_WECHATPAY_SIGNATURE']);
$fact = $isWechat ? wechat_pay($shop) : alipay($shop);
if ($fact === null) {
    http_response_code($isWechat ? 401 : 200);
    exit($isWechat ? '{"code":"FAIL"}' : 'fail');
}

// 2. The order: one line a run, and the goods leave once whatever is repeated. The file lock stands for
//    the unique key that a shop's database has.
$orders = fopen($shop . '/orders.log', 'a+');
flock($orders, LOCK_EX);
rewind($orders);
$known = stream_get_contents($orders);
if ($fact !== '' && !str_contains($known, $fact . "\n")) {
    fwrite($orders, $fact . "\n");
}
fwrite($orders, "run {$_SERVER['TOLLBELL_DELIVERY']} attempt {$_SERVER['TOLLBELL_ATTEMPT']}\n");
flock($orders, LOCK_UN);

// 3. The platform's own answer, and nothing else.
if ($isWechat) {
    http_response_code(204);
} else {
    echo 'success';
}
