<?php
// What the script was told, for the test to read.
file_put_contents(__DIR__ . '/server.json', json_encode([
    'server' => $_SERVER,
    'get' => $_GET,
    'post' => $_POST,
    'proxy' => getenv('HTTP_PROXY'),
], JSON_INVALID_UTF8_SUBSTITUTE));
echo 'success';
