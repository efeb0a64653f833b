<?php
// Keeps the exact bytes of the body, to be compared.
file_put_contents(__DIR__ . '/raw.bin', file_get_contents('php://input'));
exit('success');
