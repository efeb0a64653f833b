<?php
file_put_contents(__DIR__ . '/count.txt', $_SERVER['TOLLBELL_DELIVERY'] . ' ' . getmypid() . "\n", FILE_APPEND | LOCK_EX);
echo 'success';
