<?php
// The notify page as tutorials write it.
$out_trade_no = $_POST['out_trade_no'];
$trade_status = $_POST['trade_status'];

if ($trade_status == 'TRADE_SUCCESS' || $trade_status == 'TRADE_FINISHED') {
    file_put_contents(__DIR__ . '/orders.txt', $out_trade_no . "\n", FILE_APPEND | LOCK_EX);
    echo 'success';
} else {
    exit('fail');
}
