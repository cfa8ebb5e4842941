#![no_main]

fuzz::target!(redirect);
