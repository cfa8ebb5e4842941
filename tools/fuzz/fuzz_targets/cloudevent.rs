#![no_main]

fuzz::target!(cloudevent);
