<?php
echo 'success';
