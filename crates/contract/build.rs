//! Generates the catalogue of texts as Rust.

use std::{env, path::Path};

fn main() -> anyhow::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    words::generate("words", Path::new(&env::var("OUT_DIR")?).join("words.rs"))
}
