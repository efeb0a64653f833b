<?php
file_put_contents(__DIR__ . '/quiet.txt', ini_get('display_errors') . "\n", FILE_APPEND);
echo 'success';
