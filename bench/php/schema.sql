CREATE DATABASE shop;
CREATE TABLE shop.notifications (
    id           BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    notify_id    VARCHAR(128) NOT NULL UNIQUE,
    trade_no     VARCHAR(64) NOT NULL,
    out_trade_no VARCHAR(64) NOT NULL,
    total_amount DECIMAL(12, 2) NOT NULL,
    trade_status VARCHAR(32) NOT NULL,
    body         TEXT NOT NULL,
    created_at   TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;
CREATE USER 'shop'@'localhost' IDENTIFIED BY 'shop';
GRANT ALL ON shop.* TO 'shop'@'localhost';
