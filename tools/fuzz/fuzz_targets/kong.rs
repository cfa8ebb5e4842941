#![no_main]

fuzz::target!(kong);
