#![no_main]

fuzz::target!(endpoint_create);
