<?php
// An epay notify page for both generations: it checks the signature over what it was given, and keeps the exact
// bytes, to be compared.
$given = $_SERVER['REQUEST_METHOD'] === 'GET' ? $_GET : $_POST;
$seen = [$_SERVER['REQUEST_METHOD'], $_SERVER['QUERY_STRING'], file_get_contents('php://input')];
file_put_contents(__DIR__ . '/epay.jsonl', json_encode($seen) . "\n", FILE_APPEND | LOCK_EX);

// The shop's own parameters, which nobody signs.
unset($given['act'], $given['token']);
ksort($given, SORT_STRING);
$text = '';
foreach ($given as $name => $value) {
    if ($name !== 'sign' && $name !== 'sign_type' && $value !== '') {
        $text .= ($text === '' ? '' : '&') . $name . '=' . $value;
    }
}
if ($given['sign_type'] === 'MD5') {
    $genuine = hash_equals(md5($text . trim(file_get_contents(__DIR__ . '/epay_key'))), $given['sign']);
} else {
    $key = file_get_contents(__DIR__ . '/epay_platform_public.pem');
    $genuine = openssl_verify($text, base64_decode($given['sign'], true), $key, OPENSSL_ALGO_SHA256) === 1;
}
exit($genuine && $given['trade_status'] === 'TRADE_SUCCESS' ? 'success' : 'fail');
