<?php
// Never looks at the body.
echo 'success';
