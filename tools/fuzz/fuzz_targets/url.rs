#![no_main]

fuzz::target!(url);
