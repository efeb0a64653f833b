<?php
// A front controller, as frameworks have it: it finds the route in the address of the request.
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
if ($path === '/payment/shop-pay/notify') {
    require __DIR__ . '/server.php';
} else {
    http_response_code(404);
    echo 'no route for ' . $path;
}
