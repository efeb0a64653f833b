<?php
// More than a pipe or a socket buffers, before the input is read.
$line = str_repeat('x', 1000);
for ($i = 0; $i < 3000; $i++) {
    error_log($line);
}
echo 'success';
