<?php
file_put_contents(__DIR__ . '/sleep.txt', "begun\n", FILE_APPEND);
sleep(20);
echo 'success';
