<?php
while (true) {
    echo str_repeat('page ', 20000);
    flush();
}
