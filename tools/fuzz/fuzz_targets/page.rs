#![no_main]

fuzz::target!(page);
