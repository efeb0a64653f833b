<?php
echo "success";
