#![no_main]

fuzz::target!(assertion);
