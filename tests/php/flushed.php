<?php
// Answers first, reads its input later.
echo 'success';
flush();
usleep(50000);
file_put_contents(__DIR__ . '/flushed.txt', strlen(file_get_contents('php://input')));
