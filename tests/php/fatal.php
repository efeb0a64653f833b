<?php
place_order();
echo 'success';
