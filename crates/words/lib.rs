//! Reads a catalogue of messages, one Fluent file per language, and generates Rust from it, for a build
//! script.
//!
//! ```fluent
//! check-now = Check now
//! checks-up = { $up } of { $checks } checks up
//! ```
//!
//! becomes `pub const CHECK_NOW: Text` and `pub fn checks_up(checks: impl Display, up: impl Display) ->
//! Phrase<..>`, with the values in alphabetical order, so that rewording a message never changes the
//! meaning of its callers. The module that includes the generated code must import `contract`'s
//! `Language`, `Phrase` and `Text`.
//!
//! The build fails if a message or a value is missing in one language. Supported parts of Fluent:
//! messages, values and quoted text (`{ " " }`); no selectors, terms, functions or attributes.

mod catalogue;
mod read;

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};

/// Reads `en.ftl` and `ko.ftl` in the folder, and writes the Rust source.
pub fn generate(folder: impl AsRef<Path>, out: impl AsRef<Path>) -> Result<()> {
    let folder = folder.as_ref();
    let [en, ko] = ["en.ftl", "ko.ftl"].map(|name| folder.join(name));
    for file in [&en, &ko] {
        println!("cargo::rerun-if-changed={}", file.display());
    }
    let read = |file: &Path| fs::read_to_string(file).with_context(|| file.display().to_string());
    let [en_source, ko_source] = [read(&en)?, read(&ko)?];
    let sources = [(en.display().to_string(), en_source), (ko.display().to_string(), ko_source)];
    match catalogue::rust(&sources) {
        Ok(rust) => fs::write(&out, rust).with_context(|| out.as_ref().display().to_string()),
        Err(wrong) => bail!("the texts in two languages do not fit:\n  {}", wrong.join("\n  ")),
    }
}
