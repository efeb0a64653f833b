<?php
$row = [];
$amount = $row['amount'];
echo 'success';
