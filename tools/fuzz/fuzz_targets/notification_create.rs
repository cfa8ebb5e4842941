#![no_main]

fuzz::target!(notification_create);
