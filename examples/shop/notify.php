<?php
// A notify.php as the tutorials write it: verify the signature, look at the status, ship the goods once,
// print "success". It knows nothing of tollbell; the gateway calls it through PHP-FPM with the platform's
// own request.

$shop = __DIR__ . '/data';
$publicKey = file_get_contents($shop . '/alipay_public.pem');

// 1. The signature: every parameter but sign and sign_type, sorted, joined.
$fields = $_POST;
$sign = $fields['sign'] ?? '';
unset($fields['sign'], $fields['sign_type']);
ksort($fields);
$pairs = [];
foreach ($fields as $name => $value) {
    $pairs[] = $name . '=' . $value;
}
if (openssl_verify(implode('&', $pairs), base64_decode($sign), $publicKey, OPENSSL_ALGO_SHA256) !== 1) {
    exit('fail');
}

// 2. The order: one line a run, and the goods leave once whatever is repeated. The file lock stands for
//    the unique key that a shop's database has.
$orders = fopen($shop . '/orders.log', 'a+');
flock($orders, LOCK_EX);
rewind($orders);
$known = stream_get_contents($orders);
$paid = in_array($_POST['trade_status'] ?? '', ['TRADE_SUCCESS', 'TRADE_FINISHED'], true);
$refunded = $_POST['refund_fee'] ?? '';
$fact = $refunded !== '' ? "refunded {$_POST['out_trade_no']} in all $refunded" : "paid {$_POST['out_trade_no']} {$_POST['total_amount']}";
if ($paid && !str_contains($known, $fact . "\n")) {
    fwrite($orders, $fact . "\n");
}
fwrite($orders, "run {$_SERVER['TOLLBELL_DELIVERY']} attempt {$_SERVER['TOLLBELL_ATTEMPT']}\n");
flock($orders, LOCK_UN);

// 3. The exact word, and nothing else.
echo 'success';
