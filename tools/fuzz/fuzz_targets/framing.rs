#![no_main]

fuzz::target!(framing);
