<?php
// What tutorials show: verify, write down under a unique key, answer.
$fields = $_POST;
$signature = base64_decode($fields['sign'] ?? '');
unset($fields['sign'], $fields['sign_type']);
ksort($fields);
$pairs = [];
foreach ($fields as $name => $value) {
    if ($value !== '') {
        $pairs[] = "$name=$value";
    }
}
$key = file_get_contents(__DIR__ . '/alipay_public.pem');
if (openssl_verify(implode('&', $pairs), $signature, $key, OPENSSL_ALGO_SHA256) !== 1) {
    exit('fail');
}
$database = new PDO('mysql:unix_socket=' . getenv('DATABASE_SOCKET') . ';dbname=shop', 'shop', 'shop', [
    PDO::ATTR_PERSISTENT => true,
    PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
]);
try {
    $insert = $database->prepare('INSERT INTO notifications (notify_id, trade_no, out_trade_no, total_amount, trade_status, body)'
        . ' VALUES (?, ?, ?, ?, ?, ?)');
    $insert->execute([
        $fields['notify_id'], $fields['trade_no'], $fields['out_trade_no'], $fields['total_amount'], $fields['trade_status'],
        json_encode($fields, JSON_UNESCAPED_UNICODE),
    ]);
} catch (PDOException $error) {
    if (($error->errorInfo[1] ?? 0) !== 1062) { // already there
        exit('fail');
    }
}
echo 'success';
