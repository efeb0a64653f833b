<?php
// A worker that dies in the middle of its work: a crash, or the kernel's memory killer.
file_put_contents(__DIR__ . '/suicide.txt', "begun\n", FILE_APPEND);
exec('kill -9 ' . getmypid());
