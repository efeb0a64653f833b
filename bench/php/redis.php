<?php
// The same with Redis: a key that is set once, and a list for the worker.
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
$redis = new Redis();
$redis->pconnect(getenv('DATABASE_SOCKET'));
if ($redis->set('seen:' . $fields['notify_id'], '1', ['nx'])) {
    $redis->lPush('notifications', json_encode($fields, JSON_UNESCAPED_UNICODE));
}
echo 'success';
