#![no_main]

fuzz::target!(status_ranges);
