<?php
echo "success";
?>

