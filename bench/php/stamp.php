<?php
$now = microtime(true);
file_put_contents(__DIR__ . '/stamps', $_POST['out_trade_no'] . ' ' . sprintf('%.6f', $now) . "\n", FILE_APPEND | LOCK_EX);
echo 'success';
