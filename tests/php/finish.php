<?php
// Confirms, and does the slow part afterwards.
echo 'success';
fastcgi_finish_request();
sleep(3);
