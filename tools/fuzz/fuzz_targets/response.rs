#![no_main]

fuzz::target!(response);
